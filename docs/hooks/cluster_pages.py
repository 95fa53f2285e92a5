"""A page for each cluster, made from its facts, and one that sets them side by side."""

from __future__ import annotations

import ast
import re
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml

from runferry.config.cluster import cluster_names, facts

if TYPE_CHECKING:
    from pathlib import Path

_ONLINE = {
    "yes": "yes",
    "limited": "eligible groups, metrics only",
    "no": "no",
}
_UNKNOWN = "not established"

_OVERVIEW = """# Clusters

There is a profile for each: `snakemake --profile "$(runferry profile narval)"`. What a profile knows of its cluster was
read in the site's documentation; each page names where and when. **runferry was never run on any of them;** there,
[`runferry doctor`](../doctor.md) checks in five minutes what we could only read. What is not established is not
checked, and the profile is careful.

| cluster | GPUs | longest job | jobs of a user | W&B online from a job |
| --- | --- | --- | --- | --- |
{rows}

Offline works on all of them and is the default; [online and metrics only](../online.md) says what online takes.

## Gone

| cluster | since | use |
| --- | --- | --- |
{gone}

Their profiles are still there, so that a config that names one says which cluster came after it. Another cluster of
yours: [adding a cluster](../adding-a-cluster.md).
"""


def cluster_pages(root: Path) -> dict[str, str]:
    """Make the pages: the page's path -> its Markdown. `root` is the checkout."""
    names = [name for name in cluster_names() if name != "local"]
    return {
        "clusters/index.md": _overview(names),
        **{f"clusters/{name}.md": _page(facts(name), root) for name in names},
    }


def _overview(names: list[str]) -> str:
    rows = [_overview_row(given) for given in map(facts, names) if not given["retired"]]
    gone = [
        f"| [{given['title']}]({given['name']}.md) | {given['retired']['since']} | "
        f"[{facts(given['retired']['successor'])['title']}]({given['retired']['successor']}.md) |"
        for given in map(facts, names)
        if given["retired"]
    ]
    return _OVERVIEW.format(rows="\n".join(rows), gone="\n".join(gone))


def _overview_row(given: dict[str, Any]) -> str:
    models = ", ".join(
        f"{model['per_node']} {name} (whole node)" if model["whole_node"] else name
        for name, model in given["gpu"]["models"].items()
    )
    jobs = given["jobs"]
    online = _ONLINE[given["wandb"]["availability"]]
    name = f"[{given['title']}]({given['name']}.md)"
    return f"| {name} | {models} | {_time(jobs['longest']['gpu'])} | {_say(jobs['cap'])} | {online} |"


def _page(given: dict[str, Any], root: Path) -> str:
    sections = [
        f"# {given['title']}",
        _retired(given["retired"]),
        _command(given),
        _wandb(given),
        _gpus(given),
        _jobs(given),
        _folders(given),
        _submitted(given, root),
        _sources(given),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _retired(retired: dict[str, Any] | None) -> str:
    if not retired:
        return ""
    successor = retired["successor"]
    more = f" Its files: {retired['data']}." if "data" in retired else ""
    return (
        f'!!! warning "Gone since {retired["since"]}"\n\n    Use '
        f"[{facts(successor)['title']}]({successor}.md): `--profile profiles/{successor}`.{more}"
    )


def _command(given: dict[str, Any]) -> str:
    prefix = next(iter(given["account"]["prefixes"]), None)
    named = f"{prefix}<pi>" if prefix else "<project>" if given["account"]["required"] else ""
    account = f" --config account={named}" if named else ""
    return (
        "What Snakemake would do, without a Slurm and without submitting anything:\n\n"
        f'```console\n$ snakemake --profile "$(runferry profile {given["name"]})"{account} -n\n```'
    )


def _wandb(given: dict[str, Any]) -> str:
    wandb = given["wandb"]
    module = f" An online job loads the module `{wandb['module']}`." if wandb["module"] else ""
    return (
        "## W&B on the compute nodes\n\n"
        f"Online from a job: **{_ONLINE[wandb['availability']]}**, because {_sentence(wandb['reason'])}{module} "
        f"Offline works, and is the default. {_source(given, 'wandb')}"
    )


def _gpus(given: dict[str, Any]) -> str:
    gpu = given["gpu"]
    rows = [
        f"| `{name}`{' (when none is named)' if name == gpu['default'] else ''} | {_counts(model)} | "
        f"{_say(model.get('nodes'))} | {_say(model['cores'])} | {_say(model['memory'])} | {_say(model['rgu'])} |"
        for name, model in gpu["models"].items()
    ]
    instances = [
        f"| `{name}` (MIG) | 1 | | {_say(found['cores'])} | {_say(found['memory'])} | {_say(found['rgu'])} |"
        for name, found in gpu["instances"].items()
    ]
    return (
        "## GPUs\n\n"
        "| `gpu:` | `gpus:` on a node | nodes | cores for each | memory for each | RGU |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        + "\n".join([*rows, *instances])
        + "\n\nCores and memory are what a run gets that does not say how much it wants. "
        f"{_billed(gpu)}{_source(given, 'cluster')}"
    )


def _billed(gpu: dict[str, Any]) -> str:
    if "bundle" not in gpu:
        return ""
    one = gpu["bundle"]
    shares = f"one for each {one['cores']:g} cores, or one for each {one['memory']:g} GB of memory"
    return f"A job is billed in reference GPU units (RGU), by the largest of three: those of its GPUs, {shares}. "


def _counts(model: dict[str, Any]) -> str:
    if model["per_node"] is None:
        return _UNKNOWN
    if model["whole_node"]:
        return f"{model['per_node']}: whole nodes only; runs of fewer share one"
    return " or ".join(map(str, model["counts"])) if "counts" in model else f"1 to {model['per_node']}"


def _jobs(given: dict[str, Any]) -> str:
    jobs, account = given["jobs"], given["account"]
    rows = {
        "longest job with a GPU": _time(jobs["longest"]["gpu"]),
        "longest job without": _time(jobs["longest"]["cpu"]),
        **_placement("with a GPU", jobs.get("gpu", {})),
        **_placement("without", jobs.get("cpu", {})),
        "shortest job": _time(jobs["shortest"]) if jobs["shortest"] else "no limit known",
        "a job should last at least": _time(jobs["advised"]) if jobs["advised"] else "nothing said",
        "jobs of a user, queued and running": _say(jobs["cap"]),
        **({"of which running": str(jobs["running"])} if "running" in jobs else {}),
        "memory can be asked for": "yes" if jobs["memory_flag"] else "no: `--mem` is refused, and is not sent",
        "account": _account(account),
    }
    return f"## Jobs\n\n{_table(rows)}\n\n{_source(given, 'cluster', 'site')}"


def _placement(kind: str, given: dict[str, Any]) -> dict[str, str]:
    """Say what a job of a kind names for the scheduler; nothing where it names nothing."""
    named = [f"partition `{given['partition']}`"] if "partition" in given else []
    named += [f"quality of service `{tier['name']}` up to {_time(tier['longest'])}" for tier in given.get("qos", [])]
    named += [f"a quality of service of yours, `{given['qos_prefix']}...`"] if "qos_prefix" in given else []
    return {f"a job {kind} names": ", ".join(named)} if named else {}


def _account(account: dict[str, Any]) -> str:
    if not account["required"]:
        return "not needed"
    prefixes = " or ".join(f"`{prefix}...`" for prefix in account["prefixes"])
    return f"needed: {prefixes}" if prefixes else "needed"


def _folders(given: dict[str, Any]) -> str:
    login = given["login"] or {}
    hosts = [f"`{login[name]}`" for name in ("host", "gpu_host") if name in login]
    rows = {
        "log in at": ", for GPU jobs ".join(hosts) + (f", port {login['port']}" if "port" in login else "")
        if hosts
        else "",
        "Python": f"`module load {given['modules']['python']}`" if given["modules"]["python"] else "",
        "wheels of the site's own": "yes: environments are built from them" if given["wheelhouse"] else "no",
        "`$SLURM_TMPDIR`": _say(given["node_local"]),
        "only reached from": login.get("only_from", ""),
        "ssh that nobody attends": ", ".join(f"`{host}`" for host in login.get("automation", [])),
        "scratch is purged after": _purge(given),
        "what is about to be purged": f"`{given['scratch_purge_list']}`" if "scratch_purge_list" in given else "",
        "runs are synced": _synced(given["sync"]),
        "no jobs from": ", ".join(f"`{closed['folder']}` ({closed['reason']})" for closed in given["submit"]),
    }
    return f"## Where things are\n\n{_table({name: text for name, text in rows.items() if text})}"


def _purge(given: dict[str, Any]) -> str:
    note = f" ({given['scratch_purge_note']})" if "scratch_purge_note" in given else ""
    return f"{given['scratch_purge_days']} days{note}" if given["scratch_purge_days"] else _UNKNOWN


def _synced(sync: dict[str, Any]) -> str:
    places = {
        "login": "on the login node",
        "job": f"by a job on the partition `{sync['partition']}`",
        "remote": "on your own machine",
    }
    free = ", ".join(f"`{name}`" for name in sync.get("free", []))
    return " or ".join(places[place] for place in sync["where"]) + (
        f" (partitions free of charge: {free}; whether they reach the internet is not established)" if free else ""
    )


def _submitted(given: dict[str, Any], root: Path) -> str:
    """Say what the tests have seen sbatch be given, without what is the same everywhere."""
    golden = (root / "tests" / "end_to_end" / "golden" / f"{given['name']}.txt").read_text(encoding="utf-8")
    rows = [
        f"| `{_as_yaml(asked.partition(': ')[2])}` | `{_options(line)}` |"
        for asked, line in re.findall(r"^(\w+: \{.*\})\n(sbatch .*)$", golden, re.MULTILINE)
    ]
    return (
        f"## What sbatch is given\n\nFor an account{_known_as(given['account'])}, and the "
        "default time of an hour (`tests/end_to_end/test_profiles.py::test_what_sbatch_is_given`):\n\n"
        "| `resources:` | options |\n| --- | --- |\n" + "\n".join(rows)
    )


def _as_yaml(text: str) -> str:
    """Write a Python dictionary as the config has it, on one line."""
    return yaml.safe_dump(ast.literal_eval(text), default_flow_style=True, sort_keys=False, width=1000).strip()


def _known_as(account: dict[str, Any]) -> str:
    if account["prefixes"]:
        return " that the scheduler knows as `..._cpu` and `..._gpu`"
    return " of the name `lab`" + (f", `lab{account['suffix']}` without GPUs" if "suffix" in account else "")


def _options(line: str) -> str:
    words = shlex.split(line)[1:]
    left_out = {"--job-name", "--output", "--comment", "-D"}
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if word not in left_out and before not in left_out and word not in {"--parsable", "--export=ALL"}
    ]
    return " ".join(kept)


def _sources(given: dict[str, Any]) -> str:
    names = {
        "wandb": "W&B on the compute nodes",
        "cluster": "nodes, requests and limits",
        "site": "accounts, modules, wheels",
    }
    rows = {
        names[name]: f"{_link(source['page'])}, read {source['read']}"
        + (f" ({source['note']})" if "note" in source else "")
        for name, source in given["sources"].items()
    }
    return (
        f"## Where this was read\n\n{_table(rows, 'what', 'page')}\n\n"
        f"The file is `src/runferry/clusters/{given['name']}.yaml`. "
        "Should the site say otherwise today, the site is right: change the file, and the page and the profile follow."
    )


def _source(given: dict[str, Any], *names: str) -> str:
    # What has no source of its own was read in the cluster's.
    found = dict.fromkeys(
        f"{_link(source['page'])}, {source['read']}"
        for name in names
        if (source := given["sources"].get(name, given["sources"]["cluster"]))
    )
    return f"<small>({'; '.join(found)})</small>"


def _link(page: str) -> str:
    """Return a page's name as a link, where its address follows from it."""
    title = page.removeprefix("Alliance wiki, ")
    if title == "general pages":
        address = "https://docs.alliancecan.ca/wiki/Technical_documentation"
    elif title != page:
        address = f"https://docs.alliancecan.ca/wiki/{quote(title.replace(' ', '_'))}"
    elif found := re.search(r"\(([\w-]+(?:\.[\w-]+)+)\)", page):
        address = f"https://{found[1]}"
    else:
        return page
    return f'<a href="{address}">{page.replace("&", "&amp;")}</a>'


def _table(rows: dict[str, str], left: str = "what", right: str = "here") -> str:
    return f"| {left} | {right} |\n| --- | --- |\n" + "\n".join(f"| {name} | {text} |" for name, text in rows.items())


def _sentence(text: str) -> str:
    return text.strip().rstrip(".") + "."


def _time(text: str | None) -> str:
    """Write `7d` as a person would."""
    if text is None:
        return _UNKNOWN
    number, unit = re.fullmatch(r"(\d+)([dhm])", text).groups()
    word = {"d": "day", "h": "hour", "m": "minute"}[unit]
    return f"{number} {word}{'' if number == '1' else 's'}"


def _say(value: object) -> str:
    return _UNKNOWN if value is None else str(value)
