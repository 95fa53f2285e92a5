"""Write the draft of a cluster's file, with a comment on each value: its source, or that it is not established."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from runferry.doctor.learn.models import instances_of, suffix_for, tiers_for
from runferry.doctor.learn.requests import longest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.doctor.learn.models import Model
    from runferry.doctor.learn.probe import NodeSeen
    from runferry.doctor.learn.requests import Accepted
    from runferry.doctor.learn.slurm import Seen

UNKNOWN = "NOT ESTABLISHED"
"""What a comment begins with where a value could not be found out."""


@dataclass(frozen=True)
class Learned:
    """Everything that was found out of a site.

    Attributes
    ----------
    name
        The cluster's, in small letters.
    host
        The login node's.
    date
        Of today, as 2026-11-27.
    seen, models, accepted
        What Slurm said.
    node
        What the job saw; else why there was none.
    login_reaches
        Whether W&B's server answers on the login node.
    python_module
        The newest that brings a Python.
    wheelhouse
        Whether the site has wheels of its own.
    """

    name: str
    host: str
    date: str
    seen: Seen
    models: Sequence[Model]
    accepted: Accepted
    node: NodeSeen | str
    login_reaches: bool
    python_module: str | None
    wheelhouse: bool


def draft(learned: Learned) -> str:
    """Return the file's text; it has the form that `clusters/schema.yaml` says."""
    seen, name = learned.seen, learned.name
    prefixes = sorted({found[0] for account in seen.accounts if (found := re.match(r"[a-z]+-", account))})
    account: dict[str, Any] = {"required": learned.accepted.account_required is not False, "prefixes": prefixes}
    if suffix := suffix_for(seen, "cpu"):
        account["suffix"] = suffix
    lines = [
        f"# Facts of {name}, drafted by runferry doctor --learn on {learned.host} on {learned.date}.",
        f"# Look at each line that says {UNKNOWN}: give the value and name the page under `sources`, or leave it null.",
        *(f"# Could not be asked: {failure}" for failure in seen.failed),
        _line("name", name),
        _line("title", seen.name or name, "as Slurm calls it"),
        _line("scheduler", "slurm"),
        _line("login", {"host": learned.host}, "this machine's name; the users' may be another"),
        _line("since", None),
        _line("retired", None),
        _line("wheelhouse", learned.wheelhouse, "avail_wheels is there" if learned.wheelhouse else "no avail_wheels"),
        _line(
            "modules", {"python": learned.python_module}, *(["module avail"] if learned.python_module else [UNKNOWN])
        ),
        _line("account", account, "sacctmgr" if seen.accounts else UNKNOWN),
        *_wandb(learned),
        *_gpu(learned),
        *_jobs(learned),
        _line("node_local", *_disk(learned.node)),
        _line("scratch_purge_days", None, f"{UNKNOWN}: after how many days the site purges scratch"),
        _line("submit", [], f"{UNKNOWN}: folders that jobs cannot be submitted from"),
        *_sync(learned),
        "sources:",
        f"  cluster: {_value({'page': f'runferry doctor --learn on {learned.host}', 'read': learned.date})}",
    ]
    return "\n".join(lines) + "\n"


def _wandb(learned: Learned) -> list[str]:
    if isinstance(learned.node, str):
        said, why = "no", "whether its compute nodes reach W&B is not established"
        comment = f"{UNKNOWN}: {learned.node}"
    else:
        said = "yes" if learned.node.reached else "no"
        why = "its compute nodes reach it" if learned.node.reached else "its compute nodes do not reach it"
        comment = f"from a job: {learned.node.how}"
    return ["wandb:", f"  {_line('availability', said, comment)}", f"  {_line('reason', why)}", "  module: null"]


def _gpu(learned: Learned) -> list[str]:
    models, accepted = learned.models, learned.accepted
    if not models:
        return [_line("gpu", None, "sinfo lists none")]
    option = accepted.option or ("gpus" if models[0].typed else "gres-untyped")
    lines = [
        "gpu:",
        f"  {_line('request', option, *_how(learned, 'a GPU job', known=accepted.option is not None))}",
        f"  {_line('default', models[0].name, 'the one of which there are most')}",
    ]
    if accepted.any_gpu is not None:
        lines.append(f"  {_line('any', accepted.any_gpu, 'sbatch --test-only')}")
    lines.append("  models:")
    for model in models:
        lines += _model(learned, model)
    found = instances_of(learned.seen, [*models])
    lines.append("  instances:" if found else "  instances: {}")
    for each in found:
        of = next(model for model in models if model.name == each.of)
        facts = {
            "of": each.of,
            "cores": each.share(of.cores // of.per_node),
            "memory": f"{each.share(of.memory // 1024 // of.per_node)}G",
            "rgu": None,
            "gpu_memory": f"{each.memory}G",
        }
        lines.append(f"    {_line(each.name, facts, f'{UNKNOWN}: cores and memory, here its part of a GPU')}")
    return lines


def _model(learned: Learned, model: Model) -> list[str]:
    memory = model.memory // 1024
    facts: dict[str, Any] = {
        "nodes": model.nodes,
        "per_node": model.per_node,
        "whole_node": model.whole_node,
        "node_cores": model.cores,
        "node_memory": f"{memory}G",
        "cores": model.cores // model.per_node,
        "memory": f"{memory // model.per_node}G",
        "rgu": None,
    }
    longest = longest_of(learned.seen, model)
    if longest is not None and longest != learned.accepted.longest.get("gpu"):
        facts["longest"] = _time(longest)
    if model.constraint:
        facts["constraint"] = model.constraint
    if suffix := suffix_for(learned.seen, model.name):
        facts["account_suffix"] = suffix
    if tiers := tiers_for(learned.seen, model.name):
        facts["qos"] = [{"name": name, "longest": _time(limit)} for name, limit in tiers]
    given = learned.node.gpu_memory if not isinstance(learned.node, str) and model is learned.models[0] else []
    if given:
        facts["gpu_memory"] = f"{round(min(given) / 1024)}G"
    lines = [f"    {model.name}:"]
    for key, value in facts.items():
        comment = "the node divided by its GPUs" if key in {"cores", "memory"} else ""
        lines.append(f"      {_line(key, value, comment)}")
    return lines if given else [*lines, f"      # {UNKNOWN}: gpu_memory, the GPU's own, as 80G"]


def _jobs(learned: Learned) -> list[str]:
    accepted, seen = learned.accepted, learned.seen
    longest = {kind: _time(limit) if (limit := accepted.longest.get(kind)) else None for kind in ("cpu", "gpu")}
    cap = f"{UNKNOWN}: no limit of the user's says" if seen.cap is None else "sacctmgr"
    memory = accepted.memory_flag is not False
    known = all(longest.values()) or not learned.models
    lines = [
        "jobs:",
        f"  {_line('longest', longest, *_how(learned, 'a GPU job', known=known))}",
        f"  {_line('shortest', None, UNKNOWN)}",
        f"  {_line('advised', None, f'{UNKNOWN}: how long the site wants a job to last at least')}",
        f"  {_line('cap', seen.cap, cap)}",
        f"  {_line('memory_flag', memory, *_how(learned, 'memory', known=accepted.memory_flag is not None))}",
    ]
    for kind in ("cpu", "gpu"):
        placed: dict[str, Any] = {"partition": name} if (name := accepted.partitions.get(kind)) else {}
        tiers = tiers_for(seen, "cpu") if kind == "cpu" else []
        if tiers:
            placed["qos"] = [{"name": name, "longest": _time(limit)} for name, limit in tiers]
        if placed:
            lines.append(f"  {_line(kind, placed, 'without it Slurm refuses a job' if 'partition' in placed else '')}")
    return lines


def _sync(learned: Learned) -> list[str]:
    where = ["login", "remote"] if learned.login_reaches else ["remote"]
    said = "W&B answers here" if learned.login_reaches else "W&B does not answer on this login node"
    without_gpus = ", ".join(each.name for each in learned.seen.partitions.values() if each.cpu_nodes)
    asked = f"{UNKNOWN}: one whose nodes reach the internet; without GPUs are {without_gpus or 'none'}"
    return ["sync:", f"  {_line('where', where, said)}", f"  {_line('partition', None, asked)}"]


def _disk(node: NodeSeen | str) -> tuple[str | None, str]:
    if isinstance(node, str):
        return None, f"{UNKNOWN}: {node}"
    if node.disk is None:
        return None, "a job has no $SLURM_TMPDIR"
    return f"{node.disk / 1e9:.0f}G", "of $SLURM_TMPDIR in a job"


def _how(learned: Learned, kind: str, *, known: bool) -> list[str]:
    if known:
        return ["sbatch --test-only"]
    said = learned.accepted.refusals.get(kind, "sbatch was not asked")
    return [f"{UNKNOWN}: {said}"]


def _line(key: str, value: Any, comment: str = "") -> str:
    # A comment of several lines would end as something else.
    return f"{key}: {_value(value)}" + (f"  # {' '.join(comment.split())}" if comment else "")


def _value(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=100_000, allow_unicode=True, sort_keys=False)
    return text.strip().removesuffix("...").strip()


def _time(minutes: int) -> str:
    """Write minutes as a cluster's file does: 10080 is 7d, 1440 is 24h, 90 is 90m."""
    if minutes % 1440 == 0 and minutes > 1440:
        return f"{minutes // 1440}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"
