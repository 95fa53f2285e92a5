"""A stand-in for Comet's server, on loopback, for the tests. It is not Comet's server, whose source nobody outside has.

It takes the requests that the real `comet upload` of comet_ml 3.47.1 and 3.58.8 makes, as they were recorded, and
answers those of `comet_ml.API` that runferry makes, in the form that comet_ml's own code and docstrings expect. Assumed
of the real one: that metrics and console lines are appended, whatever was sent before; that the last value of a
parameter or an "other" stays; that a file keeps the asset id and the size with which it was sent; that 400 is the
answer for an experiment that is not there. Any other request is answered with 404 and kept in `unknown`.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "key" + "0123456789" * 3
WRONG_KEY, ALREADY_EXISTS, NO_ACCESS = 90212, 90999, 90210


@dataclass
class Experiment:
    workspace: str
    project: str
    running: bool = True
    errors: list[str] = field(default_factory=list)
    """As they came; the real one shows the last, most likely."""
    times: list[int | None] = field(default_factory=list)
    metrics: dict[str, list[dict]] = field(default_factory=lambda: defaultdict(list))
    parameters: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    assets: dict[str, dict] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    output: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def values(self, metric: str) -> list[Any]:
        """In the order of their steps: comet_ml sends them in another."""
        return [each["metricValue"] for each in sorted(self.metrics[metric], key=lambda each: each["step"])]

    def steps(self, metric: str) -> list[int]:
        return sorted(each["step"] for each in self.metrics[metric])


@dataclass
class CometStandIn:
    url: str = ""
    experiments: dict[str, Experiment] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    faults: dict[str, int | str] = field(default_factory=dict)
    """By a text in their paths, what happens to requests: an HTTP status, "lose" (200, nothing stored) or "html"."""
    delay: float = 0.0
    """Seconds from the upload of values until they are there for whoever asks."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        return {"COMET_URL_OVERRIDE": f"{self.url}/clientlib/", "COMET_API_KEY": KEY}

    def the_only(self) -> Experiment:
        (experiment,) = self.experiments.values()
        return experiment

    def uploads(self) -> int:
        """How often an upload began."""
        return sum(path.endswith("/logger/add/run") for path in self.requests)


class _RefusedError(Exception):
    def __init__(self, status: int, code: int | None = None, message: str = "refused") -> None:
        super().__init__(message)
        self.status, self.content = status, {"msg": message, "code": status, "sdk_error_code": code}


@contextmanager
def comet_running() -> Iterator[CometStandIn]:
    standin = CometStandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"standin": standin}))
    server.daemon_threads = True
    standin.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield standin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    standin: CometStandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.standin.requests.append(parts.path)
        fault = next((fault for text, fault in self.standin.faults.items() if text in parts.path), None)
        if isinstance(fault, int):
            self._send(fault, {"msg": "a fault"})
        elif fault == "html":
            self._send(200, "<html>log in</html>")
        else:
            try:
                self._check_key(parts.path)
                with self.standin.lock:
                    self._send(200, {} if fault == "lose" else self._dispatch(parts.path, query, body))
            except _RefusedError as refused:
                self._send(refused.status, refused.content)

    def _check_key(self, path: str) -> None:
        if self.headers.get("Authorization") != KEY and not path.endswith("/isAlive/ver"):
            # What comet_ml takes for a wrong key, for its uploads and for its API.
            raise _RefusedError(400, WRONG_KEY, "no such key") if path.startswith("/clientlib/") else _RefusedError(401)

    def _dispatch(self, path: str, query: dict[str, str], body: bytes) -> Any:
        name = path.removeprefix("/clientlib/").removeprefix("/api/").replace("/", "_").replace("-", "_")
        if name == "asset_upload":
            return self._asset_upload(query, body)
        handle = getattr(self, f"_{self.command}_{name}".lower(), None)
        if handle is None and name.startswith("rest_v2_write_experiment_"):
            content = json.loads(body)
            self._experiment(content["experimentKey"]).details[name] = content
            return {}
        if handle is None:
            self.standin.unknown.append(f"{self.command} {path}")
            raise _RefusedError(404)
        return handle(query if self.command == "GET" else json.loads(body))

    def _experiment(self, key: str) -> Experiment:
        if key not in self.standin.experiments:
            raise _RefusedError(400, NO_ACCESS, f"no experiment {key}")
        return self.standin.experiments[key]

    # What `comet upload` sends.

    def _post_logger_add_run(self, content: dict) -> Any:
        key = content["experimentKey"]
        if key in self.standin.experiments:
            raise _RefusedError(400, ALREADY_EXISTS, "there already")
        workspace, project = content["teamName"] or "me", content["projectName"] or "general"
        self.standin.experiments[key] = Experiment(workspace, project)
        return self._handshake()

    def _post_logger_get_run(self, content: dict) -> Any:
        self._experiment(content["previousExperiment"])
        return self._handshake()

    def _handshake(self) -> Any:
        return {
            "runId": "run",
            "project_id": "project",
            "focusUrl": f"{self.standin.url}/",
            "ws_url": "ws://127.0.0.1:1/",
            "githubUrl": False,
            "offset": 0,
        }

    def _get_isalive_ver(self, _query: dict) -> Any:
        return {"version": "99.0.0"}

    def _post_status_report_update(self, content: dict) -> Any:
        self._experiment(content["experimentKey"]).running = content["is_alive"]
        return {"is_alive_beat_duration_millis": 10_000, "gpu_monitor_interval_millis": 60_000}

    def _post_status_report_offline_metadata(self, content: dict) -> Any:
        self._experiment(content["experimentKey"]).times = [content["startTimestamp"], content["endTimestamp"]]
        return {}

    def _post_tags_add_tags_to_experiment(self, content: dict) -> Any:
        self._experiment(content["experimentKey"]).tags.update(content["addedTags"])
        return {}

    def _post_batch_logger_experiment_metric(self, content: dict) -> Any:
        experiment = self._experiment(content["experimentKey"])
        for each in content["values"]:
            experiment.metrics[each["metricName"]].append({**each, "there": time.monotonic() + self.standin.delay})
        return {}

    def _post_batch_logger_experiment_parameter(self, content: dict) -> Any:
        experiment = self._experiment(content["experimentKey"])
        experiment.parameters.update((each["parameterName"], each["parameterValue"]) for each in content["values"])
        return {}

    def _post_rest_v2_write_experiment_log_other(self, content: dict) -> Any:
        self._experiment(content["experimentKey"]).others[content["key"]] = content["value"]
        return {}

    def _post_rest_v2_write_experiment_output(self, content: dict) -> Any:
        self._experiment(content["experimentKey"]).output += [each["output"] for each in content["outputLines"]]
        return {}

    def _post_rest_v2_write_experiment_update_status(self, content: dict) -> Any:
        self._experiment(content["experimentKey"]).errors.append(content["error"])
        return {}

    def _asset_upload(self, query: dict[str, str], body: bytes) -> Any:
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        part = body.split(b"--" + boundary)[1]
        content = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        experiment = self._experiment(query["experimentId"])
        experiment.assets[query["assetId"]] = {
            "assetId": query["assetId"],
            "fileName": query.get("fileName", ""),
            "fileSize": len(content),
            "type": query.get("type", "asset"),
        }
        return {"assetId": query["assetId"]}

    # What runferry asks.

    def _get_rest_v2_experiment_metadata(self, query: dict) -> Any:
        experiment = self._experiment(query["experimentKey"])
        return {
            "experimentKey": query["experimentKey"],
            "workspaceName": experiment.workspace,
            "projectName": experiment.project,
            "running": experiment.running,
        }

    def _get_rest_v2_experiment_metrics_get_metric(self, query: dict) -> Any:
        found = self._experiment(query["experimentKey"]).metrics[query["metricName"]]
        now = time.monotonic()
        # As comet_ml's docstring has it: values are texts.
        metrics = [
            {"metricName": each["metricName"], "metricValue": str(each["metricValue"]), "step": each["step"]}
            for each in found
            if each["there"] <= now
        ]
        return {"metrics": metrics}

    def _get_rest_v2_experiment_parameters(self, query: dict) -> Any:
        return _current(self._experiment(query["experimentKey"]).parameters)

    def _get_rest_v2_experiment_log_other(self, query: dict) -> Any:
        return _current(self._experiment(query["experimentKey"]).others)

    def _get_rest_v2_experiment_asset_list(self, query: dict) -> Any:
        return {"assets": list(self._experiment(query["experimentKey"]).assets.values())}

    def _get_rest_v2_experiment_tags(self, query: dict) -> Any:
        return {"tags": sorted(self._experiment(query["experimentKey"]).tags)}

    def _send(self, status: int, content: Any) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _current(values: dict[str, Any]) -> Any:
    return {"values": [{"name": name, "valueCurrent": str(value)} for name, value in values.items()]}
