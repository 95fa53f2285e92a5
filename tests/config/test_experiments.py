"""Runs have ids that depend on what they are, and on nothing else."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from runferry.config import loading
from runferry.config.experiments import experiments
from runferry.errors import ConfigError
from runferry.runs.run_record import RunRecord
from runferry.system.records import from_json
from support.paths import SCHEMA


def _sweep(**parameters) -> dict:
    return {"program": "train.py", "method": "grid", "parameters": parameters}


def _make(sections: dict, **rest):
    return experiments(loading.validate({"wandb": {"project": "p"}, "experiments": sections, **rest}, SCHEMA))


def _ids(sections: dict, name: str = "e") -> list[str]:
    return list(_make(sections)[name].runs)


def test_the_id_is_the_same_in_another_process_and_folder(tmp_path):
    code = (
        "import sys; from runferry.config.run import make_run; "
        "print(make_run('e', 'n', {'b': 1, 'a': 'é'}, ['python', 'train.py', '--b=1']).id)"
    )
    ids = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for folder, seed in ((tmp_path, "1"), (Path("/"), "2"))
    }
    assert len(ids) == 1


def test_the_id_is_this_one():
    # Runs on a server keep their ids over every version of runferry: this value must never change.
    assert _ids({"e": {"command": ["python", "train.py"]}}) == ["69c72titjnsn"]


def test_more_values_keep_the_runs_that_were_there():
    before = _ids({"e": {"sweep": _sweep(a={"values": [1, 2]})}})
    after = _ids({"e": {"sweep": _sweep(a={"values": [0, 1, 2, 3]})}})
    assert set(before) < set(after)
    assert len(after) == 4


def test_what_makes_a_run_what_it_is_changes_its_id():
    base = {"sweep": _sweep(a={"value": 1})}
    others = [
        {"sweep": _sweep(a={"value": 2})},
        {"sweep": _sweep(a={"value": "1"})},
        {"sweep": _sweep(b={"value": 1})},
        {"sweep": {**_sweep(a={"value": 1}), "program": "other.py"}},
        {"sweep": {**_sweep(a={"value": 1}), "command": ["${program}", "${args}"]}},
    ]
    ids = [_ids({"e": section})[0] for section in (base, *others)]
    ids.append(_ids({"f": base}, "f")[0])
    assert len(set(ids)) == len(ids)


def test_what_a_run_asks_for_does_not_change_its_id():
    small = _ids({"e": {"command": ["x"]}})
    large = _ids({"e": {"command": ["x"], "resources": {"gpus": 4, "time": "3d"}}})
    assert small == large


def test_a_value_given_twice_is_refused():
    with pytest.raises(ConfigError, match=r"experiments\.e: found two runs with the id \w{12} \(both 'a=1 b=x'\)"):
        _make({"e": {"sweep": _sweep(a={"values": [1, 2]}, b={"values": ["x", "x"]})}})


@pytest.mark.parametrize("names", [("digits", "Digits"), ("environments",), ("Environments",)])
def test_experiments_that_would_share_a_folder_are_refused(names):
    with pytest.raises(ConfigError, match="expected one of its own"):
        _make({name: {"command": ["x"]} for name in names})


def test_an_experiment_without_a_sweep_is_one_run():
    experiment = _make({"e": {"command": ["python", "train.py", 3]}})["e"]
    (run,) = experiment.runs.values()
    assert run.command == ("python", "train.py", "3")
    assert run.name == "e"
    assert run.parameters == {}


@pytest.mark.parametrize("section", [{}, {"command": ["x"], "sweep": _sweep(a={"value": 1})}])
def test_an_experiment_has_either_a_sweep_or_a_command(section):
    with pytest.raises(ConfigError, match="expected either sweep"):
        _make({"e": section})


def test_a_run_is_named_after_what_varies():
    experiment = _make({"e": {"sweep": _sweep(lr={"values": [0.1, 0.2]}, epochs={"value": 3})}})["e"]
    assert [run.name for run in experiment.runs.values()] == ["lr=0.1", "lr=0.2"]


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"environment\.requirements: found no file none\.txt"):
        _make({"e": {"command": ["x"]}}, environment={"requirements": "none.txt"})
    with pytest.raises(ConfigError, match=r"experiments\.e\.workdir: found no folder .*nowhere"):
        _make({"e": {"command": ["x"], "workdir": str(tmp_path / "nowhere")}})
    with pytest.raises(ConfigError, match=r"none\.yaml: expected a YAML file"):
        _make({"e": {"sweep": "none.yaml"}})


def test_the_table_and_the_run_files_say_the_same(tmp_path):
    values = ["a b", "tab\there", "1", 1, None, True, "é", {"k": [1]}, ""]
    experiment = _make({"e": {"sweep": _sweep(v={"values": values}, w={"value": 2})}})["e"]
    table = tmp_path / "results" / "e" / "runs.tsv"
    experiment.write(table)
    rows = list(csv.DictReader(table.open(newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [row["id"] for row in rows] == list(experiment.runs)
    assert len({row["v"] for row in rows}) == len(values)
    for row, value in zip(rows, values, strict=True):
        record = json.loads((table.parent / row["id"] / "run.json").read_text())
        assert from_json(RunRecord, record, "run.json").unknown == {}
        assert record["parameters"] == {"v": value, "w": 2}
        assert record["name"] == row["name"]
        assert record["command"][-2:] == [f"--v={value}", "--w=2"]
        assert Path(record["workdir"]).is_absolute()
        assert record["wandb"]["group"] == "e"


def test_writing_again_touches_no_run_that_is_the_same(tmp_path):
    experiment = _make({"e": {"command": ["x"]}})["e"]
    table = tmp_path / "e" / "runs.tsv"
    experiment.write(table)
    file = next(table.parent.glob("*/run.json"))
    before = file.stat()
    experiment.write(table)
    after = file.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_the_digest_follows_what_is_written():
    digests = {
        _make({"e": {"command": ["x"]}})["e"].digest,
        _make({"e": {"command": ["y"]}})["e"].digest,
        _make({"e": {"command": ["x"]}}, wandb={"project": "q"})["e"].digest,
    }
    assert len(digests) == 3
    assert _make({"e": {"command": ["x"]}})["e"].digest in digests


def test_a_table_gives_a_run_for_each_row(tmp_path):
    table = tmp_path / "runs.csv"
    table.write_text("lr,seed,note\n0.1,1,\n0.2,1,b c\n")
    experiment = _make({"e": {"runs": str(table), "command": ["python", "train.py", "${args}"]}})["e"]
    assert [run.command for run in experiment.runs.values()] == [
        ("python", "train.py", "--lr=0.1", "--seed=1"),
        ("python", "train.py", "--lr=0.2", "--seed=1", "--note=b c"),
    ]
    assert [run.name for run in experiment.runs.values()] == ["lr=0.1", "lr=0.2 note=b c"]


def test_a_table_needs_a_command_and_no_sweep(tmp_path):
    with pytest.raises(ConfigError, match="found runs, expected either sweep"):
        _make({"e": {"runs": "runs.csv"}})
    with pytest.raises(ConfigError, match="found sweep and runs, expected either sweep"):
        _make({"e": {"runs": "runs.csv", "sweep": _sweep(a={"value": 1})}})


def _needing(**first) -> dict:
    return {"second": {"command": ["x", "${needs:first}/last.pt"], "needs": ["first"]}, "first": first}


def test_a_run_that_needs_another_one_is_another_when_that_changes():
    before = _ids(_needing(command=["a"]), "second")
    assert before != _ids(_needing(command=["b"]), "second")
    assert before == _ids(_needing(command=["a"], resources={"gpus": 1}), "second")
    assert list(_make(_needing(command=["a"]))) == ["second", "first"], "in the order of the config"


def test_of_several_runs_the_best_is_needed_so_there_has_to_be_a_metric():
    sweep = _sweep(a={"values": [1, 2]})
    with pytest.raises(ConfigError, match="which has 2 runs, expected one run, or `metric` in its sweep"):
        _make(_needing(sweep=sweep))
    made = _make(_needing(sweep={**sweep, "metric": {"name": "loss"}}))
    assert made["second"].needs == ("first",)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"a": {"command": ["x"], "needs": ["b"]}, "b": {"command": ["x"], "needs": ["a"]}}, "circle (a -> b -> a)"),
        ({"a": {"command": ["x"], "needs": ["a"]}}, "circle (a -> a)"),
        ({"a": {"command": ["x"], "needs": ["bb"]}, "ba": {"command": ["x"]}}, "found bb, expected one of the exper"),
        ({"a": {"command": ["${needs:b}"]}, "b": {"command": ["x"]}}, "found ${needs:b}, expected b in"),
    ],
)
def test_needs_that_cannot_be_met_are_refused(sections, said):
    with pytest.raises(ConfigError) as caught:
        _make(sections)
    assert said in str(caught.value)


def test_a_bayes_sweep_has_rounds_in_place_of_runs():
    sweep = {**_sweep(a={"min": 0.0, "max": 1.0}), "method": "bayes", "metric": {"name": "loss"}, "run_cap": 10}
    made = _make({"e": {"sweep": sweep, "runs_per_round": 4}})["e"]
    assert not made.runs
    assert made.rounds is not None
    assert [made.rounds.size_of(number) for number in range(1, made.rounds.number + 1)] == [4, 4, 2]
    repeated = made.run_of({"a": 0.5}, 1)
    assert repeated.id != made.run_of({"a": 0.5}).id, "the same parameters chosen again are another run"
