"""The variables of an experiment: which names and macros are refused, and what a run's record says."""

from __future__ import annotations

import pytest

from runferry.config import loading
from runferry.config.cluster import find_cluster
from runferry.config.variables import expand
from runferry.errors import ConfigError
from runferry.runs.folder import RunFolder
from runferry.runs.run_record import RunRecord
from runferry.system.records import from_json
from runferry.trackers.registry import in_job_of, settings_of
from support.errors.provoking import SCHEMA, made

TRACKERS = {"wandb": {"wandb": {"project": "p"}}, "comet": {"tracker": "comet", "comet": {"project": "p"}}}


def _experiment(variables: dict, **more):
    return made({"e": {"command": ["true"], "variables": variables, **more}})["e"]


def test_a_runs_record_has_them_as_texts_with_their_macros_and_its_id_is_the_same():
    given = {"OMP_NUM_THREADS": 4, "RATE": 1e-05, "CACHE": "${scratch}/x y;$(z)", "_empty": ""}
    experiment, without = _experiment(given), _experiment({})
    (run,) = experiment.runs.values()
    expected = {"OMP_NUM_THREADS": "4", "RATE": "1e-05", "CACHE": "${scratch}/x y;$(z)", "_empty": ""}
    assert experiment.record_of(run).variables == expected
    assert "variables" not in without.record_of(run).to_json()
    assert list(experiment.runs) == list(without.runs)
    # `runs.tsv` is made again, and with it the runs' records.
    assert experiment.digest != without.digest


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"1ST": "a"}, r"variables: found \"1ST\", expected a variable's name of letters, digits and _"),
        ({"A-B": "a"}, r"variables: found \"A-B\", expected a variable's name"),
        ({"A": True}, r"variables\.A: found true .*expected a text or a number \(true, false"),
        ({"A": None}, r"variables\.A: found null, expected a text or a number"),
        ({"A": "x\0y"}, r"variables\.A: found 'x\\x00y', a text with a NUL"),
        ({"RUNFERRY_RUN": "a"}, r"variables\.RUNFERRY_RUN: found a variable that runferry sets itself"),
        ({"A": "${HOME}/x"}, r"variables\.A: found the macro \$\{HOME\}, expected one of .*; .* is \$\{envvar:NAME\}"),
        ({"A": "${data}"}, r"variables\.A: found \$\{data\}, expected `stage` or `collect`"),
        ({"A": "${needs:b}"}, r"variables: found \$\{needs:b\}, expected b in the experiment's `needs`"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(variables, words):
    with pytest.raises(ConfigError, match=words) as refused:
        _experiment(variables)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_every_variable_that_the_launcher_sets_for_its_tracker_is_refused(tracker, tmp_path):
    config = loading.validate({**TRACKERS[tracker], "experiments": {"e": {"command": ["true"]}}}, SCHEMA)
    run = {"id": "r", "name": "r", "parameters": {"a": 1}, **({} if tracker == "wandb" else {"tracker": tracker})}
    section = {**settings_of(config).settings(config, find_cluster("local")), "entity": "e", "workspace": "w"}
    run[tracker] = {**section, "group": "g", "tags": ["t"], "base_url": "http://127.0.0.1:1"}
    record = from_json(RunRecord, run, "run.json")
    sets = in_job_of(record).job_variables(RunFolder(tmp_path), record, 1, tmp_path, {})
    # What the hook needs of PYTHONPATH comes before the user's own; a container's is no variable of the config's.
    named = {name for name in sets if name.startswith(("WANDB_", "COMET_"))}
    assert named
    for name in [*named, "WANDB_API_KEY" if tracker == "wandb" else "COMET_API_KEY"]:
        experiment = _experiment({name: "x"})
        with pytest.raises(ConfigError, match=rf"variables\.{name}: found a variable that runferry sets or keeps away"):
            settings_of(config).check_experiment(experiment, {"e": experiment})
    kept = _experiment({"WANDB_SILENT": "true", "COMET_LOGGING_FILE": "x"})
    settings_of(config).check_experiment(kept, {"e": kept})


def test_a_value_of_a_parameter_that_looks_like_a_macro_is_none():
    parameters = {"a": "${scratch}", "b": [1, "x y"]}
    seen: list[str] = []

    def late(macro: str) -> str:
        seen.append(macro)
        return "/node"

    assert expand("${scratch}:${args}", parameters, late) == "/node:--a=${scratch} --b=[1, 'x y']"
    assert expand("${args_json}", parameters, late) == '{"a": "${scratch}", "b": [1, "x y"]}'
    assert seen == ["${scratch}"]
