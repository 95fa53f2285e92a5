"""Keep Comet's offline files where they survive the job; loaded by the training's Python before it starts.

It is copied as `sitecustomize.py` into the run's folder, which the launcher puts first in PYTHONPATH, so it must do
with the standard library of whatever Python the training has. Until `import comet_ml` it does nothing but wait for it.

Left alone (measured with comet_ml 3.47.1 and 3.58.8), an offline experiment writes each message at once, but into a
folder of `tempfile.mkdtemp()`, which is on the node, and makes the archive in COMET_OFFLINE_DIRECTORY from it at its
end. Ended by SIGTERM or SIGKILL there is an archive of 22 bytes with nothing in it, and the node's folder is gone with
the job. What is done about it:

- that one folder is made in COMET_OFFLINE_DIRECTORY instead; all other temporary files stay on the node;
- `experiment.json`, which says which experiment the messages belong to, is written when the experiment begins and not
  only at its end;
- SIGTERM, and the signal with which the launcher warns of a time limit, end the experiment first and then do what they
  would have done; a script with a handler of its own for one of them keeps that.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from typing import Any

FOLDER_PREFIX = "data-"
"""Of the names of the folders with messages; an archive that is made from one lies beside it."""
FOLDER_VARIABLE = "COMET_OFFLINE_DIRECTORY"
WARNING_VARIABLE = "RUNFERRY_COMET_WARNING_SIGNAL"
END_SECONDS = 20.0
"""For an experiment to end; it took 2.2 s for a small one (comet_ml 3.58.8)."""


class _Watcher:
    """Sees `comet_ml` being imported (a finder of `sys.meta_path`)."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002 - the protocol's
        if name == "comet_ml":
            _redirect_temporary_folder()
        if name != "comet_ml.offline":
            return None
        sys.meta_path.remove(self)  # pyright: ignore[reportArgumentType]
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                load(module)
                _watch_experiments(module)

            spec.loader.exec_module = exec_module
        return spec


def _redirect_temporary_folder() -> None:
    import tempfile

    make: Any = tempfile.mkdtemp

    def mkdtemp(*arguments: Any, **keywords: Any) -> str:
        folder = os.environ.get(FOLDER_VARIABLE)
        # Nothing else tells who asks.
        caller: Any = sys._getframe(1).f_globals.get("__name__")  # pyright: ignore[reportPrivateUsage]
        if caller != "comet_ml.experiment" or not folder:
            return make(*arguments, **keywords)
        try:
            os.makedirs(folder, exist_ok=True)
            made = make(prefix=FOLDER_PREFIX, dir=folder)
            # mkdtemp makes it private; results are shared with the group as the umask says.
            umask = os.umask(0o077)
            os.umask(umask)
            os.chmod(made, 0o777 & ~umask)
        except OSError as error:
            sys.stderr.write(f"runferry: {folder}: cannot be written ({error}); what Comet logs stays on the node\n")
            return make(*arguments, **keywords)
        return made

    tempfile.mkdtemp = mkdtemp


def _watch_experiments(offline: Any) -> None:
    """Have each offline experiment write its `experiment.json` when it begins and whenever it gets a tag."""
    try:
        made = offline.OfflineExperiment
        start = made._start
        write = made._write_experiment_meta_file
        tagging = {name: getattr(made, name) for name in ("add_tag", "add_tags")}
    except AttributeError as error:
        sys.stderr.write(f"runferry: this comet_ml has no {error.name}; a killed run may lack its project and tags\n")
        return

    def begin(self: Any, *arguments: Any, **keywords: Any) -> Any:
        result = start(self, *arguments, **keywords)
        _try(write, self)
        _end_on_signals(self)
        return result

    def then_write(call: Any) -> Any:
        def tag(self: Any, *arguments: Any, **keywords: Any) -> Any:
            result = call(self, *arguments, **keywords)
            _try(write, self)
            return result

        return tag

    made._start = begin
    for name, call in tagging.items():
        setattr(made, name, then_write(call))


def _try(write: Any, experiment: Any) -> None:
    try:
        write(experiment)
    except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
        sys.stderr.write(f"runferry: experiment.json could not be written yet ({error})\n")


def _end_on_signals(experiment: Any) -> None:
    """End the experiment at a signal that would end the process."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        # Only there Python lets one set a handler.
        return
    mine = os.getpid()

    def handle(number: int, frame: Any) -> None:  # noqa: ARG001 - the protocol's
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() == mine:
            # In a thread: where the signal came in the middle of a call of Comet's, that holds a lock until it returns.
            # What was written so far is on the disk whether this ends or not.
            ending = threading.Thread(target=experiment.end, daemon=True)
            ending.start()
            ending.join(END_SECONDS)
        # A process that was forked has no experiment to end.
        os.kill(os.getpid(), number)

    for name in {"SIGTERM", os.environ.get(WARNING_VARIABLE) or "SIGTERM"}:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, handle)


def _load_the_other_sitecustomize() -> None:
    """Load the `sitecustomize` that this one stands before, if there is one: sites have their own."""
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [folder for folder in sys.path if os.path.abspath(folder) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, _Watcher())  # pyright: ignore[reportArgumentType]
    _load_the_other_sitecustomize()
