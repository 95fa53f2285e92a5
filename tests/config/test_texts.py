"""Texts that no command line can take get one line with their place in the config, before any job."""

from __future__ import annotations

import json

import pytest

from runferry import api
from runferry.config.experiments import experiments
from runferry.config.loading import load_yaml, read_config, validate
from runferry.errors import ConfigError
from support.new_runs import own_folder  # noqa: F401 - a fixture
from support.paths import SCHEMA

BAD = [('"a\\0b"', "a NUL character"), ('"\\ud800"', "a lone surrogate")]


def _one_line(caught: pytest.ExceptionInfo[ConfigError]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    # It can be printed, whatever the terminal.
    assert message.encode("ascii")
    return message


@pytest.mark.parametrize(("text", "said"), BAD, ids=["nul", "surrogate"])
@pytest.mark.parametrize(
    ("config", "where"),
    [
        ("wandb: {{project: p, tags: [{}]}}\nexperiments: {{e: {{command: ['true']}}}}", "config.wandb.tags.0: found"),
        ("wandb: {{project: p}}\nexperiments: {{e: {{command: ['true', {}]}}}}", "config.experiments.e.command.1"),
        (
            (
                "wandb: {{project: p}}\n"
                "experiments: {{e: {{sweep: {{program: a.py, method: grid, parameters: {{x: {{values: [1, {}]}}}}}}}}}}"
            ),
            "config.experiments.e.sweep.parameters.x.values.1",
        ),
    ],
    ids=["tag", "command", "parameter"],
)
def test_a_config_with_such_a_text_is_refused_with_its_place(config, where, text, said, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(config.format(text))
    with pytest.raises(ConfigError) as caught:
        validate(load_yaml(file), SCHEMA)
    message = _one_line(caught)
    assert message.startswith(where)
    assert said in message


def test_a_sweep_of_a_file_and_a_table_are_looked_at_too(tmp_path):
    sweep = {"program": "a.py", "method": "grid", "parameters": {"x": {"values": [1, "a\0"]}}}
    (tmp_path / "sweep.yaml").write_text(json.dumps(sweep))
    (tmp_path / "runs.tsv").write_bytes(b"x\n1\na\0b\n")
    for source in ({"sweep": "sweep.yaml"}, {"runs": "runs.tsv", "command": ["a", "${x}"]}):
        config = read_config({"wandb": {"project": "p"}, "experiments": {"e": {**source, "workdir": str(tmp_path)}}})
        with pytest.raises(ConfigError) as caught:
            experiments(config)
        _one_line(caught)


@pytest.mark.parametrize("more", [{"tags": ["a\0"]}, {"name": "\ud800"}, {"parameters": {"x": ["\udfff"]}}])
def test_a_run_of_the_library_is_refused_too(more):
    with pytest.raises(ConfigError) as caught:
        api.create_run("results/line/a", ["true"], **more)
    _one_line(caught)


def test_what_is_beyond_ascii_is_taken(tmp_path):
    run = api.create_run("results/line/a", ["echo", "naïve \U0001f40e"], {"x": "é\\u0000"})
    assert run.parameters == {"x": "é\\u0000"}
