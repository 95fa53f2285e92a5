"""Choose the Slurm account that pays for jobs, by the name that this Slurm has for it."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

from runferry.errors import AccountError
from runferry.runs.slurm import ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runferry.config.cluster import Cluster

VARIABLES = ("SBATCH_ACCOUNT", "SLURM_ACCOUNT")
"""Where the Alliance's users set a default (its page on running jobs)."""


def given_account(config: Mapping[str, object]) -> str | None:
    """Return the account that the config names, else `$SBATCH_ACCOUNT` or `$SLURM_ACCOUNT`, else None."""
    return next((account for _, account in _named(config)), None)


def _named(config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the accounts that are named, each with its place."""
    for place, account in (
        ("config", config.get("account")),
        *((f"${name}", os.environ.get(name)) for name in VARIABLES),
    ):
        if account and (text := str(account).strip()):
            yield place, text


def account_in_words(config: Mapping[str, object], paying: Iterable[str], known: Sequence[str]) -> str:
    """Describe which accounts pay, where they are named, and whether Slurm could be asked about them.

    Parameters
    ----------
    config
        Names one, or not.
    paying
        The accounts of the requests, as Slurm has them.
    known
        `known_accounts()`.
    """
    names = " and ".join(sorted(set(paying)))
    place = next((place for place, _ in _named(config)), None)
    if not names:
        return "none is named; Slurm takes your default one"
    if not known:
        return f"{names} (from {place}), not checked: no Slurm answers here"
    return f"{names} ({f'from {place}, ' if place else ''}yours, says Slurm)"


def known_accounts() -> list[str]:
    """Ask this Slurm for the user's accounts, as the executor plugin will.

    Returns
    -------
    list
        In alphabetical order, each once; empty where there is no Slurm, or none that answers.
    """
    user = getpass.getuser()
    # `sacctmgr` first, `sshare` where it says nothing: in this order the plugin looks whether the account is there.
    lines = ask("sacctmgr", "-n", "-s", "list", "user", user, "format=account%256") or ask(
        "sshare", "-U", "--format", "Account%256", "--noheader"
    )
    return sorted(set(lines or ()))


def resolve_account(given: str | None, cluster: Cluster, known: Sequence[str], *, gpu: bool) -> str | None:
    """Return the name of the account for a job, as Slurm knows it; None where none is needed.

    On the Alliance an account `def-x` is two to Slurm, `def-x_cpu` and `def-x_gpu`. sbatch takes the short name; the
    executor plugin compares it with what `sacctmgr` lists, and refuses.

    Parameters
    ----------
    given
        What the user said, or None.
    cluster
        Says whether one is needed.
    known
        `known_accounts()`; when empty, what was given is taken as it is.
    gpu
        Whether the job has GPUs.

    Raises
    ------
    AccountError
        When there is none and one is needed, or it is none of the user's.
    """
    if given is None:
        if not cluster.account_required and len(known) < 2:
            # The plugin would guess, from a pipe that is none. With one account there is nothing to guess.
            return known[0] if known else None
        expected = f"expected one{_kinds(cluster)}"
        raise AccountError(
            f"account: found none, {expected}; set account in the config, --config account=... or $SBATCH_ACCOUNT"
            f"{_yours(known)}"
        )
    if not known:
        return given
    names = {name.lower(): name for name in known}
    for name in (f"{given}_{'gpu' if gpu else 'cpu'}", given):
        if name.lower() in names:
            return names[name.lower()]
    kind = "GPU" if gpu else "CPU"
    raise AccountError(
        f"account: found {given!r}, which this Slurm does not let you use for a {kind} job, expected one of yours"
        f"{_yours(known)}"
    )


def _kinds(cluster: Cluster) -> str:
    return f" such as {' or '.join(f'{prefix}<pi>' for prefix in cluster.account_prefixes)}" * bool(
        cluster.account_prefixes
    )


def _yours(known: Sequence[str]) -> str:
    return f"; yours are {', '.join(known)}" if known else ""
