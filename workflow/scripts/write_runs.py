"""Write every run's run.json, then the list of them: the job of rule `runs`."""

import sys
from pathlib import Path

from runferry.workflow.entry import experiments_of

with Path(snakemake.log[0]).open("w") as sys.stderr:  # noqa: F821 - Snakemake gives a script this name
    experiment = experiments_of(snakemake.config)[snakemake.wildcards.experiment]  # noqa: F821
    experiment.write(Path(snakemake.output.table))  # noqa: F821
