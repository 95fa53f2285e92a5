"""Choose the runs of a bayes sweep's next round: the job of rule `choose_round`."""

import sys
from pathlib import Path

from runferry.errors import RunferryError
from runferry.workflow.bayes import choose
from runferry.workflow.entry import experiments_of

experiment = experiments_of(snakemake.config)[snakemake.wildcards.experiment]  # noqa: F821 - Snakemake gives this name
folder = Path(snakemake.output.runs).parents[2]  # noqa: F821
with Path(snakemake.log[0]).open("w") as log:  # noqa: F821

    def say(line: str) -> None:
        """Say a line to the person, and in the log."""
        for file in (sys.stderr, log):
            print(f"runferry: {line}", file=file, flush=True)

    try:
        choose(experiment, folder, int(snakemake.wildcards.round), say)  # noqa: F821
    except RunferryError as error:
        say(str(error))
        sys.exit(1)
