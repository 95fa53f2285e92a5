"""Environments built with the real virtualenv and pip; all wheels but numpy's and tabulate's are made here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from runferry.environment.archive import unpack
from runferry.environment.building import build
from runferry.environment.record import EnvironmentRecord, read_record
from runferry.environment.specification import Specification
from runferry.errors import ConfigError, PackingError
from support.wheel_files import wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

BUILD = """
import sys
from pathlib import Path
from runferry.environment.building import build
from runferry.environment.specification import Specification
build(Specification(Path(sys.argv[1])), Path(sys.argv[2]))
"""


@dataclass(frozen=True)
class Built:
    record: EnvironmentRecord
    record_file: Path
    log: str


def hello(word: str) -> str:
    return f"import sys\n\ndef main():\n    print({word!r}, sys.prefix, sys.argv[1:])\n"


def requirements(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "requirements.txt"
    file.write_text("\n".join([f"--find-links {folder / 'wheels'}", "--no-index", *lines]) + "\n")
    return file


def build_logged(specification: Specification, record_file: Path) -> Built:
    log = StringIO()
    return Built(build(specification, record_file, log=log), record_file, log.getvalue())


def wait_until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.02)


@pytest.fixture(scope="module")
def of_real_packages(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Built:
    folder = tmp_path_factory.mktemp("real packages")
    file = folder / "requirements.txt"
    file.write_text(f"--no-index\n--find-links {wheels}\ntabulate\nnumpy\n")
    return build_logged(Specification(file), folder / "environments" / "default.json")


@pytest.fixture(scope="module")
def unpacked(of_real_packages: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(of_real_packages.record_file, tmp_path_factory.mktemp("a node"))


def test_the_packages_are_in_it_and_are_its_own(unpacked: Path) -> None:
    code = "import numpy, tabulate, sys; print(numpy.__file__, tabulate.__file__, sys.prefix, sep='\\n')"
    answer = subprocess.run([unpacked / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    assert all(line.startswith(str(unpacked)) for line in answer.stdout.splitlines())


def test_a_console_script_runs_in_it(unpacked: Path) -> None:
    command = [unpacked / "bin" / "tabulate", "-f", "plain"]
    answer = subprocess.run(command, input="a b\n", capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["a", "b"]


@pytest.mark.parametrize("command", [["bin/pip"], ["bin/python", "-m", "pip"]])
def test_pip_runs_in_it(unpacked: Path, command: list[str]) -> None:
    absolute = [unpacked / command[0], *command[1:], "--version"]
    answer = subprocess.run(absolute, capture_output=True, text=True, check=True)
    assert str(unpacked) in answer.stdout


def test_a_job_compiles_nothing_again(unpacked: Path) -> None:
    def compiled() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in unpacked.rglob("*.pyc")}

    before = compiled()
    subprocess.run([unpacked / "bin" / "python", "-c", "import numpy, tabulate, numpy.testing"], check=True)
    assert len(before) > 100
    assert compiled() == before


def test_a_library_with_a_relative_rpath_is_its_own(unpacked: Path) -> None:
    # numpy's wheel carries OpenBLAS beside it, found by an RPATH with $ORIGIN.
    code = "import numpy; print([line[line.index('/'):] for line in open('/proc/self/maps') if 'openblas' in line][0])"
    answer = subprocess.run([unpacked / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith(f"{unpacked}/lib")


def test_nothing_in_it_names_the_folder_that_it_was_built_in(unpacked: Path) -> None:
    files = [file for file in unpacked.rglob("*") if file.is_file() and not file.is_symlink()]
    assert [file for file in files if b"runferry-environment-" in file.read_bytes()] == []


def test_the_lock_names_every_package_with_its_version_sorted(of_real_packages: Built) -> None:
    text = of_real_packages.record_file.with_name(of_real_packages.record.lock).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line.partition("==")[0] for line in lines] == sorted(["numpy", "pip", "setuptools", "tabulate"])
    assert all(line.partition("==")[2] for line in lines)
    assert of_real_packages.record.packages == 4


def test_the_record_says_what_was_built(of_real_packages: Built) -> None:
    record = of_real_packages.record
    assert read_record(of_real_packages.record_file) == record
    assert record.name == "default"
    assert record.python_version == ".".join(map(str, sys.version_info[:3]))
    assert record.wandb is None
    assert record.archive == f"{record.key}.tar"


def test_pip_s_output_is_seen(of_real_packages: Built) -> None:
    assert "Successfully installed" in of_real_packages.log


def test_the_version_of_wandb_is_in_the_record(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "wandb", "0.99.1", "")
    built = build_logged(Specification(requirements(tmp_path, "wandb")), tmp_path / "out" / "default.json")
    assert built.record.wandb == "0.99.1"


def test_the_same_requirements_give_the_same_key_and_keep_the_archive(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "hello", "1.0", hello("one"))
    specification = Specification(requirements(tmp_path, "hello"))
    first = build_logged(specification, tmp_path / "out" / "default.json")
    archive = tmp_path / "out" / first.record.archive
    inode = archive.stat().st_ino
    # Snakemake deletes an output before it runs the rule.
    first.record_file.unlink()
    second = build_logged(specification, first.record_file)
    assert (second.record.key, second.record.sha256) == (first.record.key, first.record.sha256)
    assert archive.stat().st_ino == inode


def test_an_environment_is_three_files(of_real_packages: Built) -> None:
    record = of_real_packages.record
    names = {file.name for file in of_real_packages.record_file.parent.iterdir()}
    assert names == {of_real_packages.record_file.name, record.archive, record.lock}


def test_a_damaged_archive_is_packed_again(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "hello", "1.0", hello("one"))
    specification = Specification(requirements(tmp_path, "hello"))
    first = build_logged(specification, tmp_path / "out" / "default.json")
    (tmp_path / "out" / first.record.archive).write_bytes(b"no archive")
    build_logged(specification, first.record_file)
    assert (unpack(first.record_file, tmp_path / "node") / "bin" / "hello").exists()


def test_a_package_that_changed_and_kept_its_version_gives_another_key(tmp_path: Path) -> None:
    specification = Specification(requirements(tmp_path, "hello"))
    said: list[str] = []
    keys: list[str] = []
    for word in ["one", "two"]:
        wheel(tmp_path / "wheels", "hello", "1.0", hello(word))
        built = build_logged(specification, tmp_path / "out" / "default.json")
        tool = unpack(built.record_file, tmp_path / "node") / "bin" / "hello"
        said += subprocess.run([tool], capture_output=True, text=True, check=True).stdout.split()[:1]
        keys.append(built.record.key)
    assert said == ["one", "two"]
    assert keys[0] != keys[1]


def test_a_requirement_that_is_nowhere_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    log = StringIO()
    file = requirements(tmp_path, "no-such-package>=2")
    with pytest.raises(PackingError) as error:
        build(Specification(file), tmp_path / "out" / "default.json", log=log)
    assert str(error.value).startswith(
        f"{file}: expected packages that can be installed, found: no-such-package>=2 is not in "
    )
    assert "ERROR: No matching distribution found for no-such-package" in log.getvalue()
    assert not list((tmp_path / "temporary").iterdir())
    assert list((tmp_path / "out").iterdir()) == []


def test_no_index_keeps_pip_from_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    file = tmp_path / "requirements.txt"
    file.write_text("tabulate\n")
    with pytest.raises(PackingError, match="tabulate is not in the site's wheelhouse"):
        build(Specification(file, no_index=True), tmp_path / "out" / "default.json", log=StringIO())


def test_missing_requirements_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"environment\.requirements: found no file .*missing\.txt"):
        build(Specification(tmp_path / "missing.txt"), tmp_path / "out" / "default.json")
    assert not (tmp_path / "out").exists()


def test_what_lies_in_the_working_directory_does_not_disturb_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "wheels", "hello", "1.0", hello("one"))
    for name in ["logging.py", "virtualenv.py", "pip.py", "compileall.py", "sitecustomize.py"]:
        (tmp_path / name).write_text("raise SystemExit('taken for the real one')\n")
    monkeypatch.chdir(tmp_path)
    built = build_logged(Specification(requirements(tmp_path, "hello")), tmp_path / "out" / "default.json")
    assert "taken for the real one" not in built.log


def test_of_two_builders_of_one_record_one_builds_and_the_other_finds_the_result(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "hello", "1.0", hello("one"))
    file = requirements(tmp_path, "hello")
    record_file = tmp_path / "out" / "default.json"
    record_file.parent.mkdir()
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with FileLock(f"{record_file}.lock"):
        builders = [
            subprocess.Popen([sys.executable, "-c", BUILD, str(file), str(record_file)], stderr=log.open("w"))
            for log in logs
        ]
        for log in logs:
            wait_until(lambda log=log: "waiting for another process" in log.read_text())
    assert [builder.wait() for builder in builders] == [0, 0]
    assert sorted("Successfully installed" in log.read_text() for log in logs) == [False, True]
    assert sorted("has just built" in log.read_text() for log in logs) == [False, True]


def test_of_two_records_of_the_same_content_built_at_once_one_packs_and_both_fit_the_archive(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "hello", "1.0", hello("one"))
    file = requirements(tmp_path, "hello")
    record_files = [tmp_path / "out" / f"{name}.json" for name in ("first", "second")]
    builders = [
        subprocess.Popen([sys.executable, "-c", BUILD, str(file), str(record_file)], stderr=subprocess.PIPE, text=True)
        for record_file in record_files
    ]
    logs = [builder.communicate()[1] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], logs
    assert sum("\npacking " in log for log in logs) == 1, logs
    assert {unpack(record_file, tmp_path / record_file.stem).name for record_file in record_files} == {
        f"environment-{read_record(record_files[0]).key}"
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_build_that_is_stopped_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    wheel(tmp_path / "wheels", "hello", "1.0", hello("one"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(requirements(tmp_path, "hello")), str(tmp_path / "out" / "default.json")],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: list(temporary.glob("runferry-environment-*/environment/bin/pip")))
    builder.send_signal(number)
    assert builder.wait() != 0
    assert not list(temporary.glob("runferry-environment-*"))
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"default.json.lock"}


def test_the_record_is_json_that_a_person_can_read(of_real_packages: Built) -> None:
    content = json.loads(of_real_packages.record_file.read_text())
    assert content["key"] == of_real_packages.record.key
    assert content["modules"] == []
