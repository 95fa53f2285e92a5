"""Sync runs and verify them: `runferry sync`."""

import shlex
import sys
from pathlib import Path

from snakemake.shell import shell

receipts = [Path(file) for file in snakemake.output]
if wrong := [str(file) for file in receipts if file.name != "receipt.json" or len(file.parts) < 3]:
    sys.exit(f"runferry: wrapper sync: output: found {wrong[0]}, expected the receipt.json beside each trained.json")
params = snakemake.params
options = [f"--{name}={params[name]}" for name in ("deadline", "patience", "parallel") if name in params.keys()]
options += [f"--read-back={params['read_back']}"] if params.get("read_back") else []
options += ["--accept-missing"] if params.get("accept_missing") else []
# Those that are trained and have a rule of their own go along: many such rules cost one `wandb sync`.
options.append("--with-trained")

command = shlex.join([sys.executable, "-m", "runferry", "sync", *options, *(str(file.parent) for file in receipts)])
log = snakemake.log_fmt_shell(stdout=True, stderr=True)
shell("{command} {log}")
