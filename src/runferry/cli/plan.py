"""Define `runferry plan`: show what a start of the workflow would do, ask for and leave on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.system.files import read_json, write_atomically
from runferry.system.messages import STARTED_BY, typed

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands


def add_plan(commands: Commands) -> None:
    """Add `plan` to the command line."""
    parser = commands.add_parser(
        "plan",
        help="show what a start of the workflow would do and ask for",
        description="Show runs by state, jobs, what they ask for, what will appear on the shared filesystem, and what "
        "the cluster would refuse. Nothing is submitted, run or written but the page that --html names.",
        epilog="Exit code: 0 nothing would be refused; 1 something would; 2 a usage or config error.",
    )
    parser.add_argument("--profile", metavar="FOLDER", help="as Snakemake's, such as profiles/narval")
    parser.add_argument("--snakefile", metavar="FILE", help="as Snakemake's (default: what Snakemake finds)")
    parser.add_argument("--directory", metavar="FOLDER", help="as Snakemake's: where results/ is (default: here)")
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="as Snakemake's")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="as Snakemake's: rules or files (default: all)")
    parser.add_argument(
        "--forcerun", "-R", nargs="+", default=[], metavar="RULE", help="as Snakemake's: run them again"
    )
    parser.add_argument("--until", "-U", nargs="+", default=[], metavar="RULE", help="as Snakemake's: up to them")
    parser.add_argument("--forceall", "-F", action="store_true", help="as Snakemake's: run everything again")
    parser.add_argument(
        "--advice", action="store_true", help="show instead what each experiment could ask for, by what its runs used"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with every run, self-contained")
    parser.set_defaults(command=_plan)


def _plan(given: argparse.Namespace) -> int:
    record = _ask_snakemake(given)
    if isinstance(record, int):
        return record
    if given.html:
        from runferry.workflow.plan.page import render

        write_atomically(given.html, render(record))
    if given.advice:
        from runferry.config.cluster import find_cluster
        from runferry.report.advice import advice_lines

        names = [experiment["name"] for experiment in record["plan"]["experiments"]]
        cluster = find_cluster(record["plan"]["cluster"])
        sys.stdout.write("\n".join(advice_lines(Path(record["results"]), names, cluster)) + "\n")
        return 0
    text = json.dumps(record["plan"]) if given.json else "\n".join(record["lines"])
    sys.stdout.write(f"{text}\n")
    if given.html:
        sys.stderr.write(f"runferry: plan: {given.html}\n")
    return 1 if record["plan"]["refusals"] else 0


def _ask_snakemake(given: argparse.Namespace) -> dict[str, Any] | int:
    """Have Snakemake read profile and config as at a start; return the plan's record, or the exit code of an error."""
    from runferry.workflow.plan.record import OF_CHOSEN_JOBS, VARIABLE

    command = [sys.executable, "-m", "snakemake", "--dry-run"]
    for option in ("profile", "snakefile", "directory"):
        value = getattr(given, option)
        command += [f"--{option}", value] if value else []
    for option in ("config", "forcerun", "until"):
        values = getattr(given, option)
        command += [f"--{option}", *values] if values else []
    command += ["--forceall"] if given.forceall else []
    command += ["--", *given.targets] if given.targets else []
    chosen = {OF_CHOSEN_JOBS: "1"} if given.targets or given.forcerun or given.until or given.forceall else {}
    with tempfile.TemporaryDirectory(prefix="runferry-plan-") as folder:
        file = Path(folder) / "plan.json"
        started_by = typed(["runferry", *given.words])
        environment = os.environ | {VARIABLE: str(file), STARTED_BY: started_by, **chosen}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if file.exists():
            return read_json(file)
    said = done.stdout + done.stderr
    # One line says what is wrong with the config; what else Snakemake refuses it says in several.
    ours = [line for line in said.splitlines() if line.startswith("runferry:")]
    sys.stderr.write("\n".join(ours or said.splitlines()[-10:]) + "\n")
    return 2
