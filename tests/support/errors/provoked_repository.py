"""The errors of `runferry init`, which reads a repository as it finds it."""

from __future__ import annotations

from pathlib import Path

from runferry.config.repository.job_script import read_job_script
from runferry.config.repository.packages import find_packages
from runferry.config.repository.proposal import Asked, propose
from runferry.config.repository.scripts import read_script
from support.errors.provoking import Row, World, cluster

SCRIPT = "import wandb\nwandb.init()\n"


def _proposed(world: World) -> None:
    propose(world.tmp, Asked(cluster("local")))


def _twice(world: World) -> None:
    world.file("config/config.yaml")
    _proposed(world)


def _packages(name: str, text: str, world: World) -> None:
    world.file(name, text)
    world.file("train.py", SCRIPT)
    find_packages(world.tmp, read_script(world.tmp, Path("train.py")))


ROWS = [
    Row("config/repository/proposal.py", "overwrites nothing", _twice),
    Row("config/repository/proposal.py", "found no Python file in", _proposed),
    Row(
        "config/repository/scripts.py",
        "found no Python in",
        lambda world: read_script(world.tmp, world.file("train.py", "print 1").relative_to(world.tmp)),
    ),
    Row("config/repository/packages.py", "invalid TOML", lambda world: _packages("pyproject.toml", "[", world)),
    Row("config/repository/packages.py", "found no list", lambda world: _packages("environment.yml", "a: 1", world)),
    Row("config/repository/job_script.py", "can be read", lambda world: read_job_script(world.tmp / "job.sh")),
    Row(
        "config/repository/job_script.py",
        "starts Python",
        lambda world: read_job_script(world.file("job.sh", "echo done\n")),
    ),
]
