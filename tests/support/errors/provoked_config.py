"""The errors of the config, of what it names, and of what a cluster does not take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import yaml

from runferry.config import loading, site_limits
from runferry.config.account import resolve_account
from runferry.config.job_request import make_request
from runferry.config.programs import check_program
from runferry.config.texts import check_texts
from runferry.environment.interpreter import describe, find_interpreter
from runferry.environment.project import copy_project
from runferry.environment.requirements import check_requirements
from runferry.environment.specification import check_source
from runferry.system import text
from runferry.system.env_modules import variables_after_loading
from runferry.trackers.registry import settings_of
from runferry.workflow.job_requests import PlanRefusals, requests_of
from support.errors.provoking import SCHEMA, Row, World, cluster, made, one

COMMAND: dict[str, Any] = {"command": ["true"]}
GRID: dict[str, Any] = {"program": "t.py", "method": "grid", "parameters": {"a": {"values": [1, 2]}}}


def _made(module: str, words: str, experiment: dict[str, Any] | None = None, **rest: Any) -> Row:
    return Row(module, words, lambda _: made({"e": {**COMMAND, **(experiment or {})}}, **rest))


def _any_of(*alternatives: dict[str, Any]) -> None:
    one = made({"e": {**COMMAND, "resources": {"any_of": list(alternatives)}}})
    requests_of(one, cluster("narval"), PlanRefusals(dry_run=False), controller=True)


def _source(words: str, kind: Any, content: str | None, name: str = "source") -> Row:
    def provoke(world: World) -> None:
        source = world.tmp / name
        if content is not None:
            world.file(name, content)
        check_source(kind, source, "config: environment")

    return Row("environment/specification.py", words, provoke)


def _request(module: str, words: str, name: str, **given: Any) -> Row:
    return Row(module, words, lambda _: make_request(one(**given), cluster(name)))


def _times(words: str, name: str, minutes: int) -> Row:
    return Row("config/site_limits.py", words, lambda _: site_limits.check_times([one(time=minutes)], cluster(name)))


def _node(words: str, name: str, **given: Any) -> Row:
    def provoke(_: World) -> None:
        experiment = one(**given)
        site_limits.check_node(experiment, make_request(experiment, cluster(name)), cluster(name))

    return Row("config/site_limits.py", words, provoke)


def _no_script(_: World) -> None:
    config = {"environment": {}, "environments": {}, "experiments": {"e": {"environment": None}}}
    check_program(made({"e": {"command": ["python", "none.py"]}})["e"], config)


def _requirements(words: str, name: str, content: bytes) -> Row:
    def provoke(world: World) -> None:
        check_requirements(world.file(name, content), "config: environment.requirements")

    return Row("environment/requirements.py", words, provoke)


def _flat(world: World) -> None:
    for name in ("data/a.csv", "mine/__init__.py", "tests/test_a.py"):
        world.file(name)
    check_source("pyproject", world.file("pyproject.toml", '[project]\nname = "mine"\n').parent, "config: environment")


def _rounds(_: World) -> None:
    experiment = one(gpus=1, rounds=SimpleNamespace(count=1))
    site_limits.check_rounds({"e": experiment}, {"e": make_request(experiment, cluster("tamia"))})


def _closed(world: World) -> None:
    world.patch.setenv("HOME", str(world.tmp))
    site_limits.check_folder(world.tmp, cluster("trillium"))


def _twice(words: str, world: World) -> None:
    made(
        {
            "e": {
                "sweep": str(
                    world.file("sweep.yaml", yaml.safe_dump({**GRID, "parameters": {"a": {"values": [1, 1]}}}))
                )
            }
        }
    )


def _needed(world: World) -> None:
    sweep = str(world.file("sweep.yaml", yaml.safe_dump(GRID)))
    made({"first": {"sweep": sweep}, "second": {**COMMAND, "needs": ["first"]}})


def _key_in_config(_: World) -> None:
    experiment = made({"e": {**COMMAND, "variables": {"WANDB_API_KEY": "x"}}})["e"]
    settings_of({"tracker": "wandb"}).check_experiment(experiment, {})


def _invalid_yaml(world: World) -> None:
    loading.load_yaml(world.file("c.yaml", b"a: \x01"))


def _no_commit(world: World) -> None:
    copy_project(world.tmp, world.tmp / "copy", committed=True)


def _clone_fails(world: World) -> None:
    from runferry.environment import project

    world.patch.setattr(project, "_top", lambda _: world.tmp / "no-repository")
    world.patch.setattr(project, "_git", lambda *_: "commit")
    copy_project(world.tmp, world.tmp / "copy", committed=True)


def _two_defaults(world: World) -> None:
    section = {"requirements": str(world.file("requirements.txt"))}
    made(environment=section, environments={"default": section})


ROWS = [
    Row("config/texts.py", "a text with", lambda _: check_texts({"a": ["\0"]}, "config")),
    Row("config/account.py", "found none", lambda _: resolve_account(None, cluster("narval"), [], gpu=False)),
    Row(
        "config/account.py",
        "does not let you use",
        lambda _: resolve_account("x", cluster("narval"), ["def-a"], gpu=False),
    ),
    Row(
        "config/site_limits.py",
        "because {}; if",
        lambda _: site_limits.check_mode({"mode": "online", "eligible": False}, cluster("narval")),
    ),
    Row(
        "config/site_limits.py",
        "config: wandb.mode: found online, expected offline on {}, because {}",
        lambda world: site_limits.check_mode({"mode": "online", "eligible": True}, _offline(world)),
    ),
    _times("let the training save checkpoints and take less", "narval", 10**5),
    _node("or name another model", "mila", gpus=1, gpu="h100", time=240),
    _node("{}.cores: found {} for a job", "narval", cores=500),
    _node("{}.memory: found {} for a job", "narval", memory=5 * 1024**2),
    Row("config/programs.py", "the script that its command runs", _no_script),
    _requirements("which pip does not read", "uv.lock", b""),
    _requirements("an environment of conda", "conda.yml", b"dependencies:\n"),
    _requirements("found hashes of some", "r.txt", b"six==1 --hash=sha256:1\nidna\n"),
    _requirements("found bytes that are not", "r.txt", b"# caf\xe9\n"),
    _times("the shortest job", "trillium", 1),
    Row("config/site_limits.py", "for a bayes sweep", _rounds),
    Row("config/site_limits.py", "--jobs", lambda _: site_limits.check_cap(1001, cluster("narval"))),
    Row("config/site_limits.py", "found the working folder", _closed),
    Row("config/cluster.py", "found nothing", lambda _: cluster(None)),  # type: ignore[arg-type]
    Row("config/cluster.py", "config: cluster: found {}, expected", lambda _: cluster("narvall")),
    Row("config/loading.py", "found none that can be read", lambda world: loading.load_yaml(world.tmp / "none.yaml")),
    Row("config/loading.py", "found bytes", lambda world: loading.load_yaml(world.file("c.yaml", b"\xff"))),
    Row(
        "config/loading.py",
        "{}, {}: expected YAML",
        lambda world: loading.load_yaml(world.file("c.yaml", "a: 1\na: 2\n")),
    ),
    Row("config/loading.py", "{}: expected YAML, found it malformed: {}", _invalid_yaml),
    Row("config/loading.py", "{}", lambda _: loading.validate({"wandb": {"project": 3}}, SCHEMA)),
    Row("system/text.py", "expected a time", lambda _: text.minutes("0m")),
    Row("system/text.py", "which Slurm reads as minutes:seconds", lambda _: text.minutes("1:99")),
    Row("system/text.py", "expected an amount", lambda _: text.mebibytes("4")),
    _made("config/data.py", "found no file or folder", {"stage": [{"from": "none.tar"}]}),
    _made("config/data.py", "unpack: found", {"stage": [{"from": "/tmp", "unpack": True}]}),
    _made("config/data.py", "which overlaps", {"stage": [{"from": "/tmp", "to": "a", "unpack": False}] * 2}),
    _made("config/data.py", "without `..`", {"stage": [{"from": "/tmp", "to": "../x", "unpack": False}]}),
    Row("environment/interpreter.py", "expected a python", lambda world: find_interpreter("3.99", {"PATH": ""})),
    Row("environment/interpreter.py", "expected a version", lambda _: find_interpreter("2.7", {})),
    Row("environment/interpreter.py", "as wandb needs", lambda _: find_interpreter("3.8", {})),
    Row("environment/interpreter.py", "does not start", lambda world: describe(str(world.tmp / "python"), {})),
    Row("environment/project.py", "found committed", _no_commit),
    Row("environment/project.py", "git clone", _clone_fails),
    Row("environment/specification.py", "apptainer pull", lambda _: _check("container", "docker://python")),
    _source("found no {} {}", "requirements", None),
    Row(
        "environment/specification.py",
        "found no pyvenv.cfg",
        lambda world: check_source("venv", world.tmp, "config: x"),
    ),
    Row(
        "environment/specification.py",
        "found a folder",
        lambda world: check_source("requirements", world.tmp, "config: x"),
    ),
    Row(
        "environment/specification.py",
        "found no file {}",
        lambda world: check_source("pyproject", world.tmp, "config: x"),
    ),
    _source("neither [project]", "pyproject", "", "pyproject.toml"),
    _source("found invalid TOML", "pyproject", "[", "pyproject.toml"),
    Row("environment/specification.py", "each of which setuptools takes for a package", _flat),
    _source("every version pinned", "lock", "numpy>=2\n"),
    Row("config/environments.py", "the name of `environment`", _two_defaults),
    _made("config/environments.py", "one of `environments`", {"environment": "jx"}),
    _made("config/environments.py", "exactly one of", environment={"lock": "l", "requirements": "r"}),
    _made("config/environments.py", "found it with", environment={"extras": ["x"]}),
    Row("config/experiments.py", "found a name that is", lambda _: made({"e": COMMAND, "E": COMMAND})),
    _made("config/experiments.py", "found no folder", {"workdir": "nowhere"}),
    Row("config/experiments.py", "found two runs", lambda world: _twice("", world)),
    _made("config/alternatives.py", "{}.{}", {"resources": {"time": "0m"}}),
    Row("config/experiments.py", "by which the best is chosen", _needed),
    _made("config/experiments.py", "{}: found {}, expected {}", {"sweep": "sweep.yaml"}),
    Row("config/experiments.py", "found ${needs:{}}", lambda _: made({"e": {"command": ["${needs:b}"]}})),
    _made("config/variables.py", "runferry sets itself", {"variables": {"RUNFERRY_RUN": "x"}}),
    _made("config/variables.py", "expected `stage` or `collect`", {"variables": {"A": "${data}"}}),
    _made("config/variables.py", "; a variable of the node is", {"variables": {"A": "${HOME}"}}),
    Row("trackers/settings.py", "sets or keeps away", _key_in_config),
    Row(
        "system/env_modules.py",
        "expected none where {}",
        lambda _: variables_after_loading(["x"], "modules", {"PATH": "/bin"}),
    ),
    Row("system/env_modules.py", "to work, found", lambda _: variables_after_loading(["x"], "modules", _MODULE)),
    _made("config/needs.py", "found a circle", {"needs": ["e"]}),
    _made("config/needs.py", "one of the experiments", {"needs": ["bb"]}),
    Row("workflow/job_requests.py", "{} ({}): {}", lambda _: _any_of({"cores": 2}, {"time": "30d"})),
    Row("workflow/job_requests.py", "leave one of the two out", lambda _: _any_of({"cores": 2}, {"cores": 2})),
    _request("config/job_sharing.py", "with resources.{}", "narval", nodes=2, side_by_side=2),
    _request("config/job_sharing.py", "assigns no GPUs to jobs", "local", gpus=1, side_by_side=2),
    _request("config/job_sharing.py", "have together", "narval", share_gpu=2),
    _request("config/job_sharing.py", "or side_by_side: null", "narval", gpus=1, share_gpu=5, side_by_side=4),
    _request("config/job_sharing.py", "has at most", "narval", gpus=4, side_by_side=2),
    _request("config/job_sharing.py", "has time for", "tamia", time=600, one_after_another=3),
    _request("config/job_request.py", "at least, ", "narval", memory=20),
    _request("config/job_request.py", "which is one node", "local", nodes=2),
    _request("config/job_request.py", "with nodes:", "narval", nodes=2, tasks=2),
    _request("config/job_request.py", "expected a multiple of", "narval", tasks=2, cores=3),
    _request("config/job_request.py", "the GPUs of all tasks", "narval", tasks=2, gpus=1, gpus_per_task=1),
    _request("config/job_request.py", "with gpus: 0", "narval", gpu="a100"),
    _request("config/job_request.py", "found {}, {} on {}", "narval", gpus=1, gpu="a10"),
    _request("config/job_request.py", "found {} of {}", "narval", gpus=9),
    _request("config/job_request.py", "found any, expected one of", "fir", gpus=1, gpu="any"),
    _request("config/job_request.py", "expected one of the two", "narval", gpus=1, gpu="a100", gpu_memory=1024),
    _request("config/job_request.py", "name a model with gpu:", "narval", gpus=1, gpu_memory=99 * 1024),
    _request("config/placement.py", "yours: sacctmgr", "marenostrum5", gpus=1),
]
_MODULE = {"PATH": "/bin", "BASH_FUNC_module%%": "() { echo no such module >&2; return 1; }"}


def _check(kind: Any, source: str) -> None:
    from pathlib import Path

    check_source(kind, Path(source), "config: environment")


def _offline(world: World) -> Any:
    facts = SimpleNamespace(availability="no", reason="it has no internet")
    return SimpleNamespace(wandb=facts, title="A cluster")
