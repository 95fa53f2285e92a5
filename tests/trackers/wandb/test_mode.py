"""What a command finds in its environment in each mode, and after modules were loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from runferry.errors import ConfigError
from runferry.runs.run_record import WandbSection
from runferry.trackers.wandb import mode as wandb_mode
from support.attempt_files import attempts_of
from support.launching import KEY, make_run, run_to_end

SHOW = "import json, os; json.dump(dict(os.environ), open('seen.json', 'w'))"
SETTINGS = """
import os, sys, wandb
settings = wandb.Settings()
settings.update_from_env_vars(os.environ)
print(settings.model_dump_json(include=set(sys.argv[1].split(","))))
"""
WANDB = {"project": "digits", "entity": None, "group": "digits", "tags": [], "base_url": None}


def _seen(tmp_path: Path, variables: dict[str, str], wandb: dict, **changes) -> dict[str, str]:
    folder = make_run(tmp_path / "run", [sys.executable, "-c", SHOW], wandb=WANDB | wandb, **changes)
    code, errors = run_to_end(folder, variables)
    assert code == 0, errors
    return json.loads((tmp_path / "seen.json").read_text())


def test_the_key_reaches_an_online_command_and_no_other(tmp_path):
    assert _seen(tmp_path, {"WANDB_API_KEY": KEY}, {"mode": "online"})["WANDB_API_KEY"] == KEY
    for mode in ("offline", "dryrun"):
        seen = _seen(tmp_path, {"WANDB_API_KEY": KEY, "RUNFERRY_KEY_HOLDER": "1-2-3"}, {"mode": mode})
        assert KEY not in json.dumps(seen)
        assert "RUNFERRY_KEY_HOLDER" not in seen
        assert seen["WANDB_MODE"] == "offline"


def test_what_a_person_set_does_not_undo_metrics_only(tmp_path):
    seen = _seen(tmp_path, {"WANDB_IGNORE_GLOBS": "x"}, {"mode": "online", "metrics_only": True})
    assert seen["WANDB_MODE"] == "online"
    assert "*/*" in seen["WANDB_IGNORE_GLOBS"].split(",")
    assert "WANDB_IGNORE_GLOBS" not in wandb_mode.variables(WandbSection(mode="online"))


def test_every_file_is_ignored_however_deep_it_lies():
    globs = wandb_mode.variables(WandbSection(mode="online", metrics_only=True))["WANDB_IGNORE_GLOBS"].split(",")
    for path in ("config.yaml", "media/table/t_0_1.table.json", "media/html/a/b/c_20_1.html"):
        # As wandb matches: a star ends at a slash.
        assert any(
            glob.count("/") == path.count("/") and all(map(fnmatchcase, path.split("/"), glob.split("/")))
            for glob in globs
        )


@pytest.mark.parametrize("version", ["0.22.3", "0.27.2", "0.31.0"])
def test_wandb_knows_every_setting_that_it_is_told(version, wandb_python):
    # An unknown one is ignored without a word, and with it what it is for.
    variables = wandb_mode.variables(WandbSection(mode="online", metrics_only=True))
    done = subprocess.run(
        [wandb_python(version), "-c", SETTINGS, ",".join(_field(name) for name in variables)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    known = json.loads(done.stdout)
    missing = {_field(name) for name in variables} - set(known)
    assert missing == ({"finish_timeout"} if version == "0.22.3" else set())
    assert known["x_file_transfer_retry_max"] == 1
    assert len(known["ignore_globs"]) == 8


def _field(variable: str) -> str:
    return variable.removeprefix("WANDB_").lower()


def _module(text: str) -> dict[str, str]:
    """A `module` function as Lmod exports it; its second argument is the first module's name."""
    return {"BASH_FUNC_module%%": f"() {{ shift; {text} }}"}


def test_the_modules_of_the_environment_and_of_the_mode_are_loaded_before_the_command(tmp_path):
    module = _module('for name; do export LOADED="$LOADED[$name]"; done; export https_proxy=http://squid:3128;')
    wandb = {"mode": "online", "metrics_only": True, "modules": ["httpproxy"]}
    seen = _seen(tmp_path, module, wandb, modules=["python/3.11"])
    assert seen["LOADED"] == "[python/3.11][httpproxy]"
    assert seen["https_proxy"] == "http://squid:3128"


def test_a_module_function_of_the_login_shell_is_found(tmp_path):
    # Where nothing is exported: a login shell of its own defines it.
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bash_profile").write_text('echo "Welcome"\nmodule() { shift; export LOADED="$*"; }\n')
    seen = _seen(tmp_path, {"HOME": str(home)}, {"mode": "offline", "modules": ["httpproxy"]})
    assert seen["LOADED"] == "httpproxy"


def test_a_module_that_cannot_be_loaded_ends_the_attempt_with_one_line(tmp_path):
    wandb = WANDB | {"mode": "online", "modules": ["httpproxy"]}
    folder = make_run(tmp_path / "run", ["true"], wandb=wandb)
    code, errors = run_to_end(folder, _module('echo "Lmod has detected: unknown module $1" >&2; return 1;'))
    assert code == ConfigError.exit_code
    loading = "modules: expected `module load httpproxy` to work"
    assert errors == f"{loading}, found: Lmod has detected: unknown module httpproxy\n"
    (attempt,) = attempts_of(folder)
    assert attempt["outcome"] == "failed"
    assert "httpproxy" in attempt["message"]
