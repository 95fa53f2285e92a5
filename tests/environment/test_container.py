"""Commands in an Apptainer image: how it is called, seen by a program of its name. Apptainer itself was never run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runferry.environment.container import Contained, read_container, record_container
from runferry.environment.specification import Specification
from runferry.errors import LaunchError, PackingError
from support.attempt_files import attempts_of
from support.launching import KEY, lines, make_run, run_to_end

# As Apptainer: the command follows the image, and gets the variables that are named APPTAINERENV_*, alone.
STAND_IN = """#!/bin/sh
printf 'called with %s\\n' "$*"
while [ "$1" != "$IMAGE" ]; do shift; done
shift
exec env -i PATH=/usr/bin:/bin $(env | sed -n 's/^APPTAINERENV_//p' | grep -v ' ') "$@"
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "environments" / "image.sif"
    file.parent.mkdir()
    file.write_bytes(b"an image")
    return file


@pytest.fixture
def record_file(image: Path) -> Path:
    record_container(Specification(image, kind="container", modules=("apptainer",)), image.parent / "default.json")
    return image.parent / "default.json"


def contained(tmp_path: Path, *, gpu: bool) -> Contained:
    return Contained("/images/a.sif", tmp_path / "node", Path("/home/me/work"), [Path("/scratch/run")], gpu)


def apptainer(folder: Path) -> Path:
    program = folder / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("gpu", [True, False])
def test_the_command_is_this_one(tmp_path: Path, gpu: bool) -> None:
    program = apptainer(tmp_path)
    command = contained(tmp_path, gpu=gpu).command(["python", "train.py", "--lr=0.1"], str(program.parent))
    assert command == [
        *(str(program), "exec", "-C", "-W", str(tmp_path / "node"), *(["--nv"] if gpu else [])),
        *("--bind", "/home/me/work", "--bind", "/scratch/run", "--pwd", "/home/me/work"),
        *("/images/a.sif", "python", "train.py", "--lr=0.1"),
    ]


def test_no_value_of_a_variable_is_on_the_command_line(tmp_path: Path) -> None:
    given = {"WANDB_API_KEY": KEY, "CUDA_VISIBLE_DEVICES": "0", "PYTHONPATH": "/x", "HOME": "/h", "SLURM_TMPDIR": "/n"}
    variables = contained(tmp_path, gpu=True).variables(given)
    assert {name for name in variables if name.startswith("APPTAINERENV_")} == {
        "APPTAINERENV_WANDB_API_KEY",
        "APPTAINERENV_CUDA_VISIBLE_DEVICES",
    }


def test_without_apptainer_its_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"load its module \(environment.modules: \[apptainer\]\)"):
        contained(tmp_path, gpu=False).command(["true"], str(tmp_path))


def test_a_run_in_an_image_finds_its_folder_and_its_variables(tmp_path: Path, image: Path, record_file: Path) -> None:
    program = apptainer(tmp_path)
    node = tmp_path / "node"
    node.mkdir()
    code = 'echo "run $RUNFERRY_RUN in $WANDB_DIR, home ${HOME:-none}"; echo 1 >"$RUNFERRY_DATA/a.pt"'
    folder = make_run(tmp_path / "run", ["sh", "-c", code], environment=str(record_file), gpus=1, collect=["*.pt"])
    variables = {"PATH": f"{program.parent}:{os.environ['PATH']}", "IMAGE": str(image), "SLURM_TMPDIR": str(node)}
    assert run_to_end(folder, variables)[0] == 0
    assert f"run k3j9 in {folder.path}, home none" in lines(folder)
    called = next(line for line in lines(folder) if line.startswith("called with"))
    binds = f"--bind {tmp_path} --bind {folder.path} --bind {node / 'runferry'}"
    assert called.startswith(f"called with exec -C -W {node} --nv {binds} --pwd {tmp_path} {image} sh -c")
    assert attempts_of(folder)[0]["environment"] == json.loads(record_file.read_text())["key"]
    assert (folder.collected_folder / "a.pt").exists()


def test_an_image_that_was_replaced_or_is_gone_is_one_line(image: Path, record_file: Path) -> None:
    image.write_bytes(b"another image")
    with pytest.raises(PackingError, match=r"found another image, expected the one of default\.json"):
        read_container(record_file)
    image.unlink()
    with pytest.raises(PackingError, match="no such image"):
        read_container(record_file)


def test_a_record_of_a_packed_environment_is_none_of_an_image(tmp_path: Path) -> None:
    (tmp_path / "default.json").write_text('{"kind": "lock", "format": 2}')
    assert read_container(tmp_path / "default.json") is None
