"""The script of a command: found where it is known beforehand, and refused where it is not there."""

from __future__ import annotations

import pytest

from runferry.config.programs import check_program, script_of
from runferry.config.run import RunDefinition
from runferry.errors import ConfigError
from support.errors.provoking import one

CONFIG = {"environment": {}, "environments": {}, "experiments": {"e": {"environment": None}}}


def _experiment(tmp_path, *command: str, macros=()):
    runs = {"r": RunDefinition("r", "", {}, command, tuple(macros))}
    made = one()
    return type(made)(
        **{**{name: getattr(made, name) for name in made.__dataclass_fields__}, "workdir": tmp_path, "runs": runs}
    )


@pytest.mark.parametrize(
    ("command", "script"),
    [
        (["python", "train.py", "--lr=1"], "train.py"),
        (["/usr/bin/env", "python", "train.py"], "train.py"),
        (["env", "A=1", "python3.11", "-u", "-W", "ignore", "code/train.py"], "code/train.py"),
        (["bash", "run.sh"], "run.sh"),
        (["./train.py"], "train.py"),
        (["torchrun", "--nproc_per_node=4", "train.py"], "train.py"),
        (["accelerate", "launch", "train.py"], "train.py"),
        (["python", "-m", "train"], None),
        (["python", "-c", "import train"], None),
        (["my-train", "--config=train.py"], None),
        (["true"], None),
    ],
)
def test_the_script_of_a_command(tmp_path, command, script):
    found = script_of(_experiment(tmp_path, *command))
    assert found == (tmp_path / script if script else None)


def test_a_script_whose_name_only_the_node_knows_is_none(tmp_path):
    assert script_of(_experiment(tmp_path, "python", "${scratch}/train.py", macros=[1])) is None


def test_a_script_that_is_not_there_is_refused_with_the_one_that_is_meant(tmp_path):
    experiment = _experiment(tmp_path, "python", "trian.py")
    (tmp_path / "train.py").touch()
    with pytest.raises(ConfigError, match=r"found no file .*trian.py \(did you mean train.py\?\), expected the script"):
        check_program(experiment, CONFIG)
    check_program(experiment, {**CONFIG, "environment": {"container": "image.sif"}})
    (tmp_path / "trian.py").touch()
    check_program(experiment, CONFIG)
