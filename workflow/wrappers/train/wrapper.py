"""Train a run: make it, then `runferry launch` in this process, which the job's signals come to."""

import os
import sys
from pathlib import Path

from runferry import api

trained = Path(snakemake.output[0])
if trained.name != "trained.json" or len(trained.parts) < 3:
    sys.exit(
        f"runferry: wrapper train: output: found {trained}, expected <results>/<experiment>/<run>/trained.json, "
        "with these three folders or names of your own"
    )
if snakemake.log and Path(snakemake.log[0]).resolve() != (trained.parent / "train.log").resolve():
    # The launcher writes train.log itself, and appends.
    with Path(snakemake.log[0]).open("w") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
params = snakemake.params
try:
    run = api.create_run(
        trained.parent,
        params.get("command", []),
        params.get("parameters"),
        environment=snakemake.input.get("environment"),
        **{name: params[name] for name in ("name", "project", "entity", "tags") if name in params.keys()},
    )
    sys.exit(api.launch(run))
except api.RunferryError as error:
    sys.stderr.write(f"runferry: {error}\n")
    sys.exit(error.exit_code)
