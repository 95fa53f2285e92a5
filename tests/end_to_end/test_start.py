"""A start that cannot work ends with one line that names the file; a run that was deleted is trained again."""

from __future__ import annotations

import shutil

import pytest


def _said(done) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("runferry: ")]


@pytest.mark.parametrize(
    ("prepare", "arguments", "line"),
    [
        (
            lambda project: (project.folder / "config" / "config.yaml").unlink(),
            ["-n"],
            "config/config.yaml: found no such",
        ),
        (lambda project: project.write("config/config.yaml", ""), ["-n"], "config/config.yaml: found nothing in it"),
        (
            lambda project: project.write("config/config.yaml", "# a\n- b\n"),
            ["-n"],
            'config/config.yaml: found ["b"] in',
        ),
        (lambda project: project.write("results", ""), [], "results: found a file, expected a folder for the results"),
        (None, ["-n", "trian_all"], "trian_all: found no such target, expected one of all, train_all"),
        (None, ["results/a/report.htm", "-n"], "results/a/report.htm: found no such target"),
    ],
    ids=["missing", "empty", "list", "file", "target", "no-file"],
)
def test_one_line_names_what_is_wrong(project, grid, prepare, arguments, line):
    project.configure({"a": {"sweep": grid(1)}})
    if prepare:
        prepare(project)
    done = project.snakemake(*arguments)
    assert done.returncode == 1
    said = _said(done)
    assert len(said) == 1, done.stderr
    assert said[0].startswith(f"runferry: {line}")
    assert "; fix it, then run: snakemake " in said[0]
    assert "Traceback" not in done.stderr


def test_a_deleted_run_is_listed_and_trained_again_also_of_a_pack(project, grid):
    packed = {"sweep": grid(2), "packing": {"one_after_another": 2}}
    project.configure({"a": {"sweep": grid(2)}, "b": packed})
    assert project.snakemake("train_all").returncode == 0
    runs = {name: sorted(project.folder.glob(f"results/{name}/*/run.json")) for name in ("a", "b")}
    for deleted in [runs["a"][0], *runs["b"]]:
        shutil.rmtree(deleted.parent)
    status = project.runferry("status").stdout.splitlines()
    assert [line.split()[:3] for line in status if line.startswith(("a ", "b "))] == [["a", "2", "1"], ["b", "2", "2"]]
    assert project.runferry("report", "results/a").returncode == 0
    assert runs["a"][0].parent.name in (project.folder / "results" / "a" / "report.html").read_text()
    done = project.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    for file in (*runs["a"], *runs["b"]):
        assert (file.parent / "trained.json").is_file()
    assert project.planned("train_all") == {}


def test_a_renamed_experiment_names_the_runs_of_its_old_name(project, grid):
    project.configure({"old": {"sweep": grid(3)}})
    assert project.snakemake("results/old/runs.tsv").returncode == 0
    project.configure({"new": {"sweep": grid(2)}})
    assert "new: 2 runs with the same command lie in results/old" in project.snakemake("-n").stderr
