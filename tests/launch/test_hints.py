"""The one line that says why a command failed."""

from __future__ import annotations

import signal

import pytest

from runferry.launch.hints import find_hint
from runferry.runs.ending import Ending

FAILED = Ending(1)


def hint(tmp_path, text: str | bytes, ending: Ending = FAILED, begin: int = 0) -> str | None:
    log = tmp_path / "train.log"
    log.write_bytes(text if isinstance(text, bytes) else text.encode())
    return find_hint(log, begin, ending, "0.31.0")


def test_the_last_line_is_the_reason_when_nothing_better_is_known(tmp_path):
    text = 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\nValueError: no data\n\n  \n'
    assert hint(tmp_path, text) == "ValueError: no data"


def test_the_closing_words_of_wandb_are_not_the_reason(tmp_path):
    text = "ValueError: no data\n\x1b[1;34mwandb\x1b[0m: \nwandb: You can sync this run to the cloud by running:\n"
    assert hint(tmp_path, text) == "ValueError: no data"


def test_what_a_progress_bar_has_overwritten_is_not_the_reason(tmp_path):
    assert hint(tmp_path, "10%|#   |\r20%|##  |\rdied at epoch 2\n") == "died at epoch 2"


def test_a_command_that_printed_nothing_has_no_reason(tmp_path):
    assert hint(tmp_path, "") is None
    assert hint(tmp_path, "runferry: attempt 1 of run k3j9 on node: []\n") is None


def test_bytes_that_are_no_text_do_no_harm(tmp_path):
    assert hint(tmp_path, b"\xff\xfe broken\n") == "\ufffd\ufffd broken"


def test_a_very_long_line_is_cut(tmp_path):
    found = hint(tmp_path, "x" * 5000)
    assert found is not None
    assert len(found) == 200


def test_the_log_of_an_earlier_attempt_is_not_looked_at(tmp_path):
    earlier = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
    assert hint(tmp_path, earlier + "ValueError: new\n", begin=len(earlier)) == "ValueError: new"


def test_only_the_end_of_a_long_log_is_looked_at(tmp_path):
    text = "CUDA out of memory\n" + "epoch\n" * 20_000 + "ValueError: late\n"
    assert hint(tmp_path, text) == "ValueError: late"


def test_a_removed_wandb_setting_says_how_to_mend_it(tmp_path):
    text = (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings\nstart_method\n"
        "  Extra inputs are not permitted [type=extra_forbidden, input_value='fork', input_type=str]\n"
        "    For further information visit https://errors.pydantic.dev/2.12/v/extra_forbidden\n"
    )
    assert hint(tmp_path, text) == (
        "wandb 0.31.0 no longer has the setting start_method (removed in 0.29): remove "
        "settings=wandb.Settings(start_method=...) from the script, or pin wandb<0.29 in the requirements"
    )


def test_the_word_start_method_alone_is_no_reason(tmp_path):
    assert hint(tmp_path, "using start_method fork\nValueError: no data\n") == "ValueError: no data"


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("ModuleNotFoundError: No module named 'sklearn'", "sklearn"),
        ("ModuleNotFoundError: No module named 'torch.utils.tensorboard'", "torch"),
        ("/tmp/env/bin/python: No module named pytorch_lightning", "pytorch_lightning"),
    ],
)
def test_a_missing_module_names_the_requirements(tmp_path, line, module):
    found = hint(tmp_path, f"Traceback (most recent call last):\n{line}\n")
    assert found is not None
    assert found.startswith(f"the environment has no module {module}: add the package that has it to the requirements")
    assert "environment.requirements" in found


@pytest.mark.parametrize(
    "line",
    [
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 39.39 GiB total)",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
        "RuntimeError: CUDA error: out of memory",
        "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes",
    ],
)
def test_a_full_gpu_is_named(tmp_path, line):
    found = hint(tmp_path, f"{line}\nwandb: done\n")
    assert found == "the GPU's memory was not enough: use a smaller batch, or ask for a GPU with more memory"


@pytest.mark.parametrize(
    ("line", "beginning"),
    [
        ("OSError: [Errno 122] Disk quota exceeded: 'checkpoints/last.pt'", "the disk quota is used up"),
        ("OSError: [Errno 28] No space left on device", "a disk is full"),
    ],
)
def test_a_full_disk_is_named(tmp_path, line, beginning):
    found = hint(tmp_path, line)
    assert found is not None
    assert found.startswith(beginning)


@pytest.mark.parametrize("ending", [Ending(None, signal.SIGKILL), Ending(137)])
def test_a_kill_is_most_likely_about_memory(tmp_path, ending):
    found = hint(tmp_path, "epoch 3\n", ending)
    assert found is not None
    assert found.startswith("most likely it ran out of memory")


def test_another_signal_is_explained_by_the_last_line(tmp_path):
    assert hint(tmp_path, "epoch 3\n", Ending(None, signal.SIGTERM)) == "epoch 3"


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ("sdk/wandb_sweep.py", "wandb.errors.errors.UsageError: No API key configured. Use `wandb login` to log in."),
        (
            "wandb_agent.py",
            "wandb.errors.errors.UsageError: api_key not configured (no-tty). call wandb.login(key=[...])",
        ),
        (
            "agents/pyagent.py",
            "wandb.errors.errors.CommError: Failed to execute API request: the service process is busy",
        ),
    ],
)
def test_a_sweep_of_wandbs_own_is_for_runferry(tmp_path, file, error):
    text = f'Traceback:\n  File "/env/site-packages/wandb/{file}", line 79, in sweep\n    _login()\n{error}\n'
    found = hint(tmp_path, text)
    assert found is not None
    assert found.startswith("wandb.sweep and wandb.agent ask W&B's server, which this job does not reach")
    # A run of its own that cannot go online is another matter.
    assert "wandb.agent" not in str(hint(tmp_path, error))


def test_a_hint_is_one_line(tmp_path):
    from runferry.launch.hints import HINTS

    assert not [entry for entry in HINTS if "\n" in entry.text]
