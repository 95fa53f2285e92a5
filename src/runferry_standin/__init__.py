"""A stand-in for a W&B server: for demonstration and tests, on this machine, with one person's data.

wandb's own clients (0.22 to the newest) and its public API work against it unmodified. It stores what it is sent,
refuses a wrong key, and can be told to misbehave. It is not W&B's server, and no way to keep results.

    python -m runferry_standin -- snakemake --profile profiles/local

In a test:

    with running() as server:
        subprocess.run(["wandb", "sync", folder], env=os.environ | server.environment)
        assert server.run("demo", "digits", "k3j9x2ab")["state"] == "finished"

`runferry_standin.faults` says what it can do wrong, `behaviour` how it can be another server, and `server.turn("gaps")`
makes one of the assumptions of docs/how-it-works.md false. What is known of the real server and what is assumed stands
with the code that needed it: "measured" is what a client does, "assumed" is what nobody outside can know.
"""

from __future__ import annotations

from runferry_standin.app import DEMO_KEY
from runferry_standin.client import ProcessStandIn, StandIn
from runferry_standin.runs import DEMO_ENTITY
from runferry_standin.server import running, running_process

__all__ = ["DEMO_ENTITY", "DEMO_KEY", "ProcessStandIn", "StandIn", "running", "running_process"]
