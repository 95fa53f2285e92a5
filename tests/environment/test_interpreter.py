from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from runferry.environment.interpreter import find_interpreter, variables_for_build
from runferry.errors import ConfigError

BASE = sys._base_executable  # pyright: ignore[reportAttributeAccessIssue] - it has no public name
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"


def executable(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)
    return file


def test_without_a_version_it_is_the_python_below_the_virtual_environment_that_runs_this() -> None:
    interpreter = find_interpreter(None, os.environ)
    assert Path(interpreter.path).samefile(BASE)
    assert interpreter.version == ".".join(map(str, sys.version_info[:3]))
    assert interpreter.platform.endswith(str(sys.implementation.cache_tag))


def test_a_version_is_looked_for_on_the_path(tmp_path: Path) -> None:
    (tmp_path / f"python{THIS}").symlink_to(BASE)
    assert find_interpreter(THIS, {"PATH": f"/nowhere:{tmp_path}"}).version.startswith(THIS)


def test_one_that_does_not_start_does_not_hide_the_next_one_on_the_path(tmp_path: Path) -> None:
    executable(tmp_path / "shims" / f"python{THIS}", "#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    (tmp_path / f"python{THIS}").symlink_to(BASE)
    path = f"{tmp_path / 'shims'}:{tmp_path}"
    assert find_interpreter(THIS, {"PATH": path}).version.startswith(THIS)


def test_a_version_that_is_missing_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    executable(tmp_path / "python3.10", "")
    executable(tmp_path / "python3.9", "")
    with pytest.raises(ConfigError) as error:
        find_interpreter("3.12", {"PATH": str(tmp_path)})
    assert "expected a python3.12 on PATH; found python3.9, python3.10;" in str(error.value)


def test_one_that_only_fails_is_refused_with_what_it_says(tmp_path: Path) -> None:
    file = executable(tmp_path / "python3.12", "#!/bin/sh\necho 'libpython is missing' >&2\nexit 127\n")
    with pytest.raises(ConfigError, match=f"found {file}, which does not start: libpython is missing"):
        find_interpreter("3.12", {"PATH": f"{tmp_path}:/usr/bin:/bin"})


def test_another_version_under_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "python3.99").symlink_to(BASE)
    with pytest.raises(ConfigError, match=rf"python3\.99 is Python {THIS}"):
        find_interpreter("3.99", {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("3", "expected a version such as"),
        ("3.11.7", "expected a version such as"),
        ("python3", "expected a version such as"),
        ("2.7", "expected a version such as"),
        ("3.8", r"expected 3\.9 or newer"),
    ],
)
def test_what_is_no_version_is_refused(python: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^environment\.python: found .*{said}"):
        find_interpreter(python, os.environ)


def test_pip_s_variables_are_the_site_s_but_for_those_that_install_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    variables = variables_for_build(())
    assert variables["PIP_FIND_LINKS"] == "/wheels"
    assert not {"PIP_USER", "PYTHONPATH"} & set(variables)


def test_modules_are_loaded_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Lmod does where it is installed: an exported shell function that changes the shell's variables.
    function = '() { shift; echo "Lmod says hello"; for name; do export LOADED="$LOADED[$name]"; done; }'
    monkeypatch.setenv("BASH_FUNC_module%%", function)
    monkeypatch.setenv("WITH_A_NEWLINE", "one\ntwo=2")
    variables = variables_for_build(("gcc", "python/3.11"))
    assert variables["LOADED"] == "[gcc][python/3.11]"
    assert variables["WITH_A_NEWLINE"] == "one\ntwo=2"


def test_a_python_of_a_module_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"python{THIS}").symlink_to(BASE)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("BASH_FUNC_module%%", f'() {{ export PATH="{tmp_path}:$PATH"; }}')
    assert Path(find_interpreter(THIS, variables_for_build(("python",))).path).samefile(BASE)


def test_a_module_that_cannot_be_loaded_is_refused_with_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASH_FUNC_module%%", '() { echo "Lmod has detected the following error: $2" >&2; return 1; }')
    with pytest.raises(
        ConfigError, match=r"expected `module load pyhton` to work, found: Lmod has detected .* pyhton$"
    ):
        variables_for_build(("pyhton",))


def test_modules_on_a_machine_without_them_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A bash whose login shell defines no `module` either, whatever this machine has.
    executable(tmp_path / "bash", '#!/bin/sh\nexec /bin/bash --noprofile --norc "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("BASH_FUNC_module%%", raising=False)
    with pytest.raises(ConfigError, match=r"found python/3\.11, expected none where there is no `module` command"):
        variables_for_build(("python/3.11",))
