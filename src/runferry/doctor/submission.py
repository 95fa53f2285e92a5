"""Check accounts and whether jobs may be submitted from here: `sbatch --test-only` submits nothing."""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING

from runferry.config.account import known_accounts, resolve_account
from runferry.config.site_limits import check_folder
from runferry.doctor.answer import NoAnswerError, answer_of
from runferry.doctor.finding import Finding
from runferry.errors import AccountError, ConfigError
from runferry.runs.slurm import ask
from runferry.system.text import time_in_words
from runferry.trackers.api_keys import without_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runferry.doctor.site import Site

ACCOUNTS, JOBS = "accounts", "submission"
SECONDS = 50.0
"""For all of it."""
PAUSE = 1.0
"""Seconds between two calls of sbatch, as the sites ask for."""
_CORES, _SHORT = 2, 5


def accounts(site: Site) -> Iterator[Finding]:
    """Check the user's accounts, and have Slurm test jobs."""
    known = known_accounts()
    yield from _accounts(site, known)
    yield from _cap(site)
    yield from _folder(site)
    yield from _tests(site, known)


def account_for(site: Site, known: Sequence[str], *, gpu: bool) -> str | None:
    """Return the account that a job would have, by the name that Slurm has for it.

    Where the user named none it is the first one of the kind, for a test that submits nothing.

    Raises
    ------
    AccountError
        When the user named one that is not known.
    """
    if site.account is not None:
        return resolve_account(site.account, site.cluster, known, gpu=gpu)
    kind = "_gpu" if gpu else "_cpu"
    return next((name for name in known if name.endswith(kind)), known[0] if known else None)


def payers(known: Sequence[str]) -> set[str]:
    """Return the accounts without Slurm's endings: `def-x_cpu` and `def-x_gpu` are both of `def-x`."""
    return {name.removesuffix("_cpu").removesuffix("_gpu") for name in known}


def gpu_option(site: Site) -> list[str]:
    """Return the options of sbatch for the smallest request of the cluster's default GPU."""
    cluster = site.cluster
    if cluster.gpu_option is None or cluster.default_gpu is None:
        return []
    gpu = cluster.gpus[cluster.default_gpu]
    count = gpu.counts[0] if gpu.counts else 1
    match cluster.gpu_option:
        case "gres":
            return [f"--gres=gpu:{gpu.request}:{count}"]
        case "gres-untyped":
            return [f"--gres=gpu:{count}"]
        case "gpus-per-node-untyped":
            return [f"--gpus-per-node={count}"]
        case option:
            return [f"--{option}={gpu.request}:{count}"]


def shortest(site: Site) -> int:
    """Return the time limit of a short job here, in minutes."""
    return max(_SHORT, (site.cluster.jobs.shortest or 0) if site.cluster.jobs else 0)


def memory_option(site: Site) -> list[str]:
    """Return the option of sbatch for a gigabyte of memory; none where the site refuses it."""
    return ["--mem=1G"] if site.cluster.jobs is None or site.cluster.jobs.memory_flag else []


def _accounts(site: Site, known: Sequence[str]) -> Iterator[Finding]:
    prefixes = site.cluster.account_prefixes
    if not known:
        needed = site.cluster.account_required
        found = "neither sacctmgr nor sshare lists one"
        yield Finding(ACCOUNTS, "yours", "problem" if needed else "info", found, "one at least" * needed)
        return
    usual = not prefixes or any(name.startswith(prefixes) for name in known)
    expected = "" if usual else f"one that begins with {' or '.join(prefixes)}"
    yield Finding(ACCOUNTS, "yours", "ok" if usual else "differs", ", ".join(known), expected)
    if site.account is None:
        if len(payers(known)) > 1:
            yield Finding(ACCOUNTS, "chosen", "info", "none: the tests below take the first ones; --account names one")
        return
    for kind, gpu in (("CPU", False), ("GPU", True)):
        if gpu and not site.cluster.gpus:
            continue
        try:
            yield Finding(ACCOUNTS, f"for {kind} jobs", "ok", str(account_for(site, known, gpu=gpu)))
        except AccountError as error:
            yield Finding(ACCOUNTS, f"for {kind} jobs", "problem", str(error), todo="--account, with one of yours")


def _cap(site: Site) -> Iterator[Finding]:
    """Compare how many jobs a user may have with what Slurm's limits say, of the user's associations and of any QOS."""
    user = getpass.getuser()
    asked = (
        ("associations", f"user={user}", "format=MaxSubmitJobs,MaxJobs"),
        ("qos", "format=MaxSubmitJobsPerUser,MaxJobsPerUser"),
    )
    lines = [line for words in asked for line in ask("sacctmgr", "--noheader", "--parsable2", "show", *words) or ()]
    limits = sorted({int(field) for line in lines for field in line.split("|") if field.isdigit()})
    cap = site.cluster.jobs.cap if site.cluster.jobs else None
    found = ", ".join(map(str, limits)) or "neither an association nor a QOS says"
    differs = bool(limits) and cap is not None and cap not in limits
    mark = "differs" if differs else "ok" if cap in limits else "info"
    yield Finding(ACCOUNTS, "limits of a user's jobs", mark, found, f"{cap} among them" * differs)


def _folder(site: Site) -> Iterator[Finding]:
    try:
        check_folder(site.folder, site.cluster)
    except ConfigError as error:
        yield Finding(JOBS, "from this folder", "problem", str(error), todo="go to $SCRATCH and run it again")


def _tests(site: Site, known: Sequence[str]) -> Iterator[Finding]:
    short, jobs = shortest(site), site.cluster.jobs
    yield _test(site, known, f"a CPU job of {time_in_words(short)}", short)
    gpu = gpu_option(site)
    if gpu:
        yield _test(site, known, f"a GPU job: {gpu[0]}", short, gpu)
    if jobs is None:
        return
    longest = jobs.longest(len(gpu))
    if longest is not None:
        yield _test(site, known, f"the longest job, {time_in_words(longest)}", longest, gpu)
        longer = longest + 1
        yield _refused(_test(site, known, f"a longer job, {time_in_words(longer)}", longer, gpu))
    if jobs.shortest:
        shorter = jobs.shortest - 1
        yield _refused(_test(site, known, f"a shorter job, {time_in_words(shorter)}", shorter, gpu))
    if not jobs.memory_flag:
        yield _refused(_test(site, known, "a job that says --mem", short, ["--mem=1G"]))


def _refused(tested: Finding) -> Finding:
    """Word the test of a job that the facts say is refused."""
    if tested.mark == "ok":
        return Finding(JOBS, tested.what, "differs", "Slurm would take it", "refused")
    if tested.mark == "problem":
        return Finding(JOBS, tested.what, "ok", f"refused, as expected ({tested.found})")
    return tested


def _test(site: Site, known: Sequence[str], what: str, minutes: int, options: Sequence[str] = ()) -> Finding:
    """Have Slurm test a job; "ok" where it would take it, "problem" where it would not."""
    try:
        account = account_for(site, known, gpu=any("gpu" in option for option in options))
    except AccountError as error:
        return Finding(JOBS, what, "unknown", str(error))
    command = ["sbatch", "--test-only", f"--time={minutes}", f"--cpus-per-task={_CORES}", "--wrap=true"]
    command += [f"--account={account}"] if account else []
    command += [*memory_option(site), *options]
    time.sleep(PAUSE)
    try:
        said = answer_of(*command, variables=without_keys(), folder=site.folder, errors_too=True)
    except NoAnswerError as error:
        refused = " failed (exit code " in str(error)
        mark = "problem" if refused else "unknown"
        return Finding(JOBS, what, mark, str(error).removeprefix("sbatch "), "Slurm takes it" * refused)
    # "sbatch: Job 5 to start at ... in partition standard": whatever else a site's plugin prints comes before.
    last = said.splitlines()[-1].removeprefix("sbatch: ") if said else "taken"
    return Finding(JOBS, what, "ok", last)
