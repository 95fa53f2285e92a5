"""Check a search with its engine, and write down what its points are asked for with: the job of rule `search`."""

import sys
from pathlib import Path

from runferry.errors import RunferryError
from runferry.workflow.entry import experiments_of
from runferry.workflow.search import begin

experiment = experiments_of(snakemake.config)[snakemake.wildcards.experiment]  # noqa: F821 - Snakemake gives this name
folder = Path(snakemake.output.begun).parents[1]  # noqa: F821
with Path(snakemake.log[0]).open("w") as log:  # noqa: F821

    def say(line: str) -> None:
        """Say a line to the person, and in the log."""
        for file in (sys.stderr, log):
            print(f"runferry: {line}", file=file, flush=True)

    try:
        begin(experiment, folder, say)
    except RunferryError as error:
        say(str(error))
        sys.exit(1)
