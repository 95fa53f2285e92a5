"""Find out by `sbatch --test-only`, which submits nothing, how a site wants to be asked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runferry.config.account import VARIABLES
from runferry.doctor.answer import NoAnswerError, answer_of
from runferry.doctor.learn.models import account_for, tiers_for
from runferry.doctor.learn.slurm import NOT_FOR_WORK
from runferry.doctor.submission import PAUSE
from runferry.trackers.api_keys import without_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.config.gpus import GpuOption
    from runferry.doctor.learn.models import Model
    from runferry.doctor.learn.slurm import Partition, Seen

NO_ACCOUNT = "no account"
_SHORT = 10
"""Minutes of a tested job."""


@dataclass
class Accepted:
    """The requests that Slurm takes, as far as it could be asked; None is not found out.

    Attributes
    ----------
    option
        That takes a GPU request.
    any_gpu
        Whether a request without a model is taken beside it.
    memory_flag
        Whether --mem is taken.
    account_required
        Whether a job without an account is refused.
    partitions
        Kind ("cpu", "gpu") -> the partition that a job has to name; None where it needs none.
    longest
        Kind -> the longest job in minutes, None where it is not limited.
    refusals
        What Slurm said of tests that it refused, the last of each kind.
    """

    option: GpuOption | None = None
    any_gpu: bool | None = None
    memory_flag: bool | None = None
    account_required: bool | None = None
    partitions: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    longest: dict[str, int | None] = field(default_factory=dict[str, "int | None"])
    refusals: dict[str, str] = field(default_factory=dict[str, str])


def try_requests(seen: Seen, models: Sequence[Model]) -> Accepted:
    """Have Slurm test jobs, a second apart."""
    found = Accepted()
    _cpu_jobs(seen, found)
    if models:
        _gpu_jobs(seen, models[0], found)
        limits = [longest_of(seen, model) for model in models]
        found.longest["gpu"] = None if None in limits else max(limit for limit in limits if limit is not None)
    return found


def longest_of(seen: Seen, model: Model) -> int | None:
    """Return the longest job with a GPU model, in minutes, by its partitions and qualities of service; None without."""
    having = [each for each in seen.partitions.values() if each.name in model.partitions]
    return _longest(seen, model.name, _for_work(having))


def gpu_request(option: GpuOption | None, model: Model) -> list[str]:
    """Return the options of sbatch for one GPU of a model, or a whole node of it."""
    count = model.per_node if model.whole_node else 1
    constraint = [f"--constraint={model.constraint}"] if model.constraint else []
    match option:
        case "gres-untyped":
            return [f"--gres=gpu:{count}", *constraint]
        case "gpus-per-node-untyped":
            return [f"--gpus-per-node={count}", *constraint]
        case "gres":
            return [f"--gres=gpu:{model.name}:{count}"]
        case None:
            return []
        case other:
            return [f"--{other}={model.name}:{count}"]


def _cpu_jobs(seen: Seen, found: Accepted) -> None:
    without = [each for each in seen.partitions.values() if each.cpu_nodes] or [*seen.partitions.values()]
    _place(seen, "cpu", [], without, found)
    named = _named(found, "cpu")
    account = account_for(seen, "cpu")
    if account is not None:
        found.account_required = not _takes(seen, "cpu", named, found, NO_ACCOUNT)
    found.memory_flag = _takes(seen, "cpu", [*named, "--mem=1G"], found, "memory")


def _gpu_jobs(seen: Seen, model: Model, found: Accepted) -> None:
    having = [each for each in seen.partitions.values() if each.name in model.partitions]
    typed: list[GpuOption] = ["gpus", "gres", "gpus-per-node"] if model.typed else []
    options: list[GpuOption] = [*typed, "gres-untyped", "gpus-per-node-untyped"]
    for option in options:
        if _place(seen, model.name, gpu_request(option, model), having, found):
            found.option = option
            break
    if found.option in {"gpus", "gres"}:
        any_one = "--gpus=1" if found.option == "gpus" else "--gres=gpu:1"
        found.any_gpu = _takes(seen, model.name, [*_named(found, "gpu"), any_one], found, "any GPU")


def _place(seen: Seen, what: str, request: Sequence[str], partitions: Sequence[Partition], found: Accepted) -> bool:
    """Find the partition that a job names, if any; return whether Slurm takes the request at all.

    Parameters
    ----------
    what
        The GPU model, or "cpu".
    """
    kind, for_work = "gpu" if request else "cpu", _for_work(partitions)
    longest = _longest(seen, what, for_work)
    time_option = f"--time={longest or _SHORT}"
    for partition in (None, *(each.name for each in for_work)):
        named = [f"--partition={partition}"] if partition else []
        if _takes(seen, what, [*named, time_option, *request], found, f"a {kind.upper()} job"):
            found.partitions[kind], found.longest[kind] = partition, longest
            return True
    return False


def _for_work(partitions: Sequence[Partition]) -> list[Partition]:
    """Return the partitions for work, those with the longest jobs first; all where none is."""
    for_work = [each for each in partitions if not NOT_FOR_WORK.search(each.name)] or list(partitions)
    return sorted(for_work, key=lambda each: -(each.longest if each.longest is not None else 10**9))


def _longest(seen: Seen, what: str, for_work: Sequence[Partition]) -> int | None:
    limits = [each.longest for each in for_work[:1]] + [limit for _, limit in tiers_for(seen, what)[-1:]]
    return min((limit for limit in limits if limit is not None), default=None)


def _named(found: Accepted, kind: str) -> list[str]:
    partition = found.partitions.get(kind)
    return [f"--partition={partition}"] if partition else []


def _takes(seen: Seen, what: str, options: Sequence[str], found: Accepted, kind: str) -> bool:
    """Return whether Slurm would take a job; `kind` "no account" names none."""
    tiers = tiers_for(seen, what)
    account = None if kind == NO_ACCOUNT else account_for(seen, what)
    command = ["sbatch", "--test-only", "--cpus-per-task=1", "--wrap=true"]
    command += [f"--account={account}"] if account else []
    command += [f"--qos={tiers[-1][0]}"] if tiers else []
    if not any(option.startswith("--time=") for option in options):
        command.append(f"--time={_SHORT}")
    # Whose account is tested, none too, is not the environment's to say.
    variables = {name: value for name, value in without_keys().items() if name not in VARIABLES}
    time.sleep(PAUSE)
    try:
        answer_of(*command, *options, variables=variables, errors_too=True)
    except NoAnswerError as error:
        found.refusals[kind] = str(error)
        return False
    return True
