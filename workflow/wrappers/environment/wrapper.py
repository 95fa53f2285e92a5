"""Build and pack an environment: `runferry environment`."""

import shlex
import sys

from snakemake.shell import shell

KINDS = ("requirements", "lock", "pyproject", "venv", "container")

given = {kind: snakemake.input.get(kind) for kind in KINDS if snakemake.input.get(kind)}
if len(given) != 1:
    found = " and ".join(given) or "none of them"
    sys.exit(f"runferry: wrapper environment: input: found {found}, expected exactly one of {', '.join(KINDS)}")
params = snakemake.params
options = [word for kind, source in given.items() for word in (f"--{kind}", source)]
options += ["--python", str(params.python)] if params.get("python") else []
options += [word for module in params.get("modules", []) for word in ("--module", module)]
options += [word for extra in params.get("extras", []) for word in ("--extra", extra)]
options += [f"--{name.replace('_', '-')}" for name in ("committed", "no_index", "index_allowed") if params.get(name)]

# With this Python: an environment that is not activated has no runferry on the PATH.
command = shlex.join([sys.executable, "-m", "runferry", "environment", *options, snakemake.output[0]])
log = snakemake.log_fmt_shell(stdout=True, stderr=True)
shell("{command} {log}")
