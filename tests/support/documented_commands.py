"""The commands of the documentation: where they stand, and what is run in place of those that cannot be run here."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "hooks"))

from cluster_pages import cluster_pages  # noqa: E402 - it lies beside the site's pages

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md", "profiles/README.md")]
PAGES += sorted((ROOT / "examples").glob("*/README.md")) + sorted((ROOT / "docs").rglob("*.md"))

PLACEHOLDERS = {"<pi>": "somebody", "<project>": "def-somebody"}
"""What a reader fills in -> what the tests do."""


@dataclass(frozen=True)
class NotAsWritten:
    """Why a command is not run as it stands."""

    reason: str
    instead: str | None = None
    """What is run in its place; None for nothing."""
    shown_by: str | None = None
    """The test that runs it for real."""


_ELSEWHERE = NotAsWritten("it is typed on another machine, or leads to one")
_PYTEST = NotAsWritten("it is a part of this suite, which runs it with the clusters that are there")
_PROFILES = ".venv/bin/python -m pytest tests/end_to_end/test_profiles.py"
_MEASURES = "it measures for minutes on a quiet machine; that it starts is all that is seen"
_TRAINS = NotAsWritten(
    "it needs a Slurm that runs jobs",
    instead="snakemake --profile profiles/narval --config account=def-<pi> -n",
    shown_by="tests/cluster/test_training.py::test_a_sweep_of_eight_trains_on_two_nodes_without_a_route_and_every_row_arrives",
)

_EXTRA = (
    'snakemake --profile "$(runferry profile narval)" --config account=def-<pi> '
    "--set-resources \"train:slurm_extra='--begin=now+1hour'\""
)
_DRY_RUN = "tests/end_to_end/test_profiles.py::test_a_dry_run_works_on_a_laptop"
NOT_AS_WRITTEN = {
    'snakemake --profile "$(runferry profile jeanzay)" --config account=<project> -n': NotAsWritten(
        "the tests' Slurm has no account of its form", shown_by=_DRY_RUN
    ),
    'snakemake --profile "$(runferry profile marenostrum5)" --config account=<project> -n': NotAsWritten(
        "the config of a checkout names no quality of service, which the site wants named", shown_by=_DRY_RUN
    ),
    "ssh narval.alliancecan.ca": _ELSEWHERE,
    "scp narval.alliancecan.ca:my-project/results/train/report.html .": _ELSEWHERE,
    "module load python/3.11": NotAsWritten("only a site has environment modules"),
    "python3 -m venv ~/runferry-venv": NotAsWritten("the tests' own environment is there in its place"),
    "pip install ~/runferry": NotAsWritten("it asks the package index; the tests' own environment has it"),
    "pip install --editable '.[comet]'": NotAsWritten(
        "it asks the package index; the tests have comet_ml in environments of their own"
    ),
    "comet login": NotAsWritten("it asks for a key on the terminal; the tests' key is in COMET_API_KEY"),
    "pip install --editable '.[progress]'": NotAsWritten("it asks the package index; `make setup` does just this"),
    "snakemake train_all --profile profiles/local --logger rich": NotAsWritten(
        "it takes the terminal",
        "snakemake train_all --profile profiles/local --logger rich -n",
        "tests/end_to_end/test_progress_bars.py::test_bars_move_and_a_failed_run_is_shown_with_the_end_of_its_own_log",
    ),
    "runferry status --watch --interval 60": NotAsWritten(
        "it goes on until Ctrl-C",
        "runferry status --watch --help",
        "tests/report/status/test_screen.py::test_the_watched_screen_is_refreshed_in_place_and_the_terminal_given_back",
    ),
    "wandb login": NotAsWritten("it asks for a key on the terminal; the tests' key is in WANDB_API_KEY"),
    "tmux new -s runferry": NotAsWritten("it takes the terminal"),
    _EXTRA: NotAsWritten(
        _TRAINS.reason,
        f"{_EXTRA} -n",
        "tests/end_to_end/test_profiles.py::test_set_resources_drops_no_gpus_and_counts_for_packs_too",
    ),
    "snakemake --profile profiles/narval": NotAsWritten(
        _TRAINS.reason, "snakemake --profile profiles/narval -n", _TRAINS.shown_by
    ),
    'snakemake --profile "$(runferry profile narval)"': NotAsWritten(
        _TRAINS.reason,
        'snakemake --profile "$(runferry profile narval)" -n',
        "tests/end_to_end/test_own_repository.py::test_three_commands_lead_to_verified_runs",
    ),
    "runferry report results/train": NotAsWritten(
        "the copy of the checkout has another experiment", "runferry report results/digits"
    ),
    "sbatch --account=def-<pi> job.sh --learning_rate=0.1": NotAsWritten(
        _TRAINS.reason,
        shown_by="tests/cluster/test_plain_jobs.py::test_a_script_for_sbatch_trains_where_there_is_no_route_and_runferry_sync_verifies_it",
    ),
    "python submit_with_submitit.py --account def-<pi>": NotAsWritten(
        _TRAINS.reason,
        instead="python submit_with_submitit.py --help",
        shown_by="tests/cluster/test_plain_jobs.py::test_submitit_submits_to_slurm_and_the_login_node_syncs",
    ),
    "runferry doctor --profile profiles/narval": NotAsWritten(
        "its exit code is 1 where the machine is not Narval",
        "runferry doctor --profile profiles/narval || test $? = 1",
        "tests/cluster/test_doctor_probe.py::test_a_login_node_is_looked_at_and_nothing_is_submitted",
    ),
    "runferry doctor --server": NotAsWritten(
        "it waits as long as W&B's own server needs",
        "runferry doctor --server --help",
        "tests/doctor/test_server_probe.py::test_the_command_says_it_line_by_line_and_writes_a_file_without_the_key",
    ),
    "runferry doctor --profile profiles/narval --account def-<pi> --probe": NotAsWritten(
        "it needs a Slurm that runs jobs",
        "runferry doctor --help",
        "tests/cluster/test_doctor_probe.py::test_one_job_tells_what_a_compute_node_sees_and_hears",
    ),
    "runferry sync --watch results/": NotAsWritten(
        "it goes on until Ctrl-C",
        "runferry sync --watch --help",
        "tests/sync/test_watch.py::test_a_run_that_has_ended_is_synced_by_the_watcher_itself",
    ),
    "make demo": NotAsWritten(
        "it installs, and trains for a minute",
        "make --dry-run demo",
        "tests/end_to_end/test_pipeline.py::test_the_demo_is_the_real_thing_in_small",
    ),
    "make test": NotAsWritten("it is this", "make --dry-run test"),
    "make check": NotAsWritten("it takes a minute, and is what is done first", "make --dry-run check"),
    "make quick": NotAsWritten("it is a part of this", "make --dry-run quick"),
    "make release VERSION=1.2.0": NotAsWritten(
        "it tags, and of a version that is committed",
        "make --dry-run release VERSION=1.2.0",
        "tests/docs/test_release.py::test_one_command_builds_tries_what_was_built_and_tags",
    ),
    "make docs": NotAsWritten(
        "the site is built once, by its own test",
        "make --dry-run docs",
        "tests/docs/test_site.py::test_it_is_built_strictly",
    ),
    **{
        f".venv/bin/python benchmarks/scale.py{what}": NotAsWritten(
            _MEASURES, ".venv/bin/python benchmarks/scale.py --help"
        )
        for what in ("", " controller --packed", " idle")
    },
    ".venv/bin/python benchmarks/environment_archive.py .venv/lib": NotAsWritten(
        _MEASURES, ".venv/bin/python benchmarks/environment_archive.py --help"
    ),
    ".venv/bin/python benchmarks/job_memory.py --least": NotAsWritten(
        _MEASURES, ".venv/bin/python benchmarks/job_memory.py --help"
    ),
    "make cluster-up; .venv/bin/python benchmarks/job_start.py": NotAsWritten(
        _MEASURES,
        ".venv/bin/python benchmarks/job_start.py --help",
        "tests/cluster/test_cluster.py::test_one_partition_is_the_default",
    ),
    **{
        f".venv/bin/python benchmarks/{name}.py": NotAsWritten(
            _MEASURES, f".venv/bin/python benchmarks/{name}.py --help"
        )
        for name in ("environment_start", "killed_training", "report", "rows")
    },
    **{
        f"snakemake --profile profiles/local --directory examples/{name}": NotAsWritten(
            "it installs PyTorch, and trains for a minute; the line above it is this with -n",
            shown_by="tests/end_to_end/test_frameworks.py::test_an_example_is_ended_in_the_middle_and_goes_on_from_its_checkpoint",
        )
        for name in ("pytorch", "lightning", "huggingface")
    },
    ".venv/bin/python -m pytest tests/config/test_cluster.py tests/config/test_facts.py": _PYTEST,
    f'RUNFERRY_WRITE_GOLDEN=1 {_PROFILES} -k "sbatch_is_given and mycluster"': _PYTEST,
    f"{_PROFILES} -k mycluster": _PYTEST,
    ".venv/bin/python -m pytest tests/sync/test_clean.py": _PYTEST,
    ".venv/bin/python -m pytest tests/sync/test_clean.py -k trained": _PYTEST,
    ".venv/bin/python -m pytest tests/sync/test_clean.py"
    "::test_a_clean_that_was_killed_while_it_deleted_is_completed_by_the_next_one": _PYTEST,
    ".venv/bin/python -m pytest tests/test_doctests.py -k folder": _PYTEST,
}


@dataclass(frozen=True)
class Fence:
    """A fenced block of a page."""

    place: str
    """The page and the line, as `README.md:12`."""
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, without their comments; what they print has no `$` before it."""
        lines = [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]
        return [re.sub(r"\s+# .*", "", line).strip() for line in lines]


def pages() -> dict[str, str]:
    """Read each page that has commands: its name -> its Markdown, those that are made from facts too."""
    written = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
    return written | {f"docs/{name}": text for name, text in cluster_pages(ROOT).items()}


def fences() -> Iterator[Fence]:
    """Go through the fenced blocks of all pages."""
    for name, text in pages().items():
        for found in re.finditer(r"^```(\S*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            yield Fence(f"{name}:{text[: found.start()].count(chr(10)) + 1}", found[1], found[2])


def sessions() -> dict[str, list[str]]:
    """Give each console block once, though several pages may have it: its place -> its commands."""
    found: dict[tuple[str, ...], str] = {}
    for fence in fences():
        if fence.language == "console":
            found.setdefault(tuple(fence.commands), fence.place)
    return {place: list(commands) for commands, place in found.items()}


def script(commands: list[str]) -> str:
    """Write what bash is given for a block: each command, or what is run in its place."""
    lines = ["set -e", """trap 'echo "this command failed: $BASH_COMMAND" >&2' ERR"""]
    for command in commands:
        known = NOT_AS_WRITTEN.get(command)
        line = command if known is None else known.instead
        for placeholder, filled in PLACEHOLDERS.items():
            line = line and line.replace(placeholder, filled)
        lines += [line] if line else []
    return "\n".join(lines) + "\n"
