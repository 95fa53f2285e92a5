"""Compare a run on a W&B server with the disk; any difference means that there is no receipt.

Counts, the last step, summary, config, state, files and artifacts come with the answer for many runs at once. The rows
themselves are read back in `runferry.sync.wandb.row_comparison`.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.sync.wandb.gone_for_good import IS_GONE, NOR_ON_DISK, NOT_READ
from runferry.sync.wandb.uploaded_files import missing_files
from runferry.system.values import is_list, is_mapping
from runferry.trackers.wandb.log.records import LARGEST_LINE
from runferry.trackers.wandb.log.rows import as_json
from runferry.trackers.wandb.queries import FILES_PER_RUN

if TYPE_CHECKING:
    from runferry.sync.wandb.local import OnDisk
    from runferry.trackers.wandb.queries import RunOnServer

LARGEST_EXACT = 2**53
"""The largest integer up to which a double holds every one."""
SUMMARY_DOTS = 4
"""Levels of nesting that W&B keeps of a summary, by its documentation."""
LONGEST_SHOWN = 160
"""Characters of a value in a message."""
_ENDED_BADLY = ("failed", "crashed", "killed")
# wandb's own: written by the client at other times than the run's records, or by the server.
NOT_COMPARED = ("_wandb", "_runtime", "_timestamp", "_step")


def differences(disk: OnDisk, there: RunOnServer | None) -> list[str]:
    """Return the differences between disk and server; without any, a receipt may be written."""
    if there is None:
        return ["the server has no such run"]
    return [*count_differences(disk, there), *end_differences(disk, there), *file_differences(disk, there)]


def count_differences(disk: OnDisk, there: RunOnServer) -> list[str]:
    """Compare the number of rows and the last step."""
    found: list[str] = []
    if there.history_lines != disk.history_lines:
        found.append(f"the server has {there.history_lines} history lines, the disk {disk.history_lines}")
    if disk.history_lines and there.last_step != disk.last_step:
        found.append(f"the server's last step is {there.last_step}, the disk's {disk.last_step}")
    return found


def end_differences(disk: OnDisk, there: RunOnServer) -> list[str]:
    """Compare the state of a run at its end: summary, config and state."""
    found: list[str] = []
    if not (there.state == disk.state or (disk.state == "failed" and there.state in _ENDED_BADLY)):
        found.append(f"the server says {there.state}, the disk {disk.state}")
    wrong = [
        name
        for name, value in disk.summary.items()
        if name not in NOT_COMPARED and not same_summary(value, there.summary.get(name))
    ]
    if wrong and (size := len(as_json(disk.summary).encode())) > LARGEST_LINE:
        found.append(f"the summary has {size:,} bytes, and W&B's client sends none over {LARGEST_LINE:,}")
        wrong = []
    for name in wrong:
        theirs, ours = shortened(there.summary.get(name)), shortened(disk.summary[name])
        found.append(f"the server's last value of {name} is {theirs}, the disk's {ours}")
    for name, value in disk.config.items():
        if not same(value, there.config.get(name)):
            theirs, ours = shortened(there.config.get(name)), shortened(value)
            found.append(f"the server's config has {name}: {theirs}, the disk's {ours}")
    return found


def segment_differences(disk: OnDisk) -> list[str]:
    """Name the segments of which rows may be missing: what was not read, what is gone, what never reached the disk.

    They are no part of `differences`: nothing that is sent changes them.
    """
    parts = {segment.name: segment.damage for segment in disk.segments if not segment.whole}
    unread = {**{path.name: why for path, why in disk.unread.items()}, **parts}
    found = [f"the segment {name} is {NOT_READ}: {why}" for name, why in unread.items()]
    found += [f"the segment {name} of attempt {attempt} {IS_GONE}" for name, attempt in disk.gone.items()]
    return [*found, *disk.lost]


def shortened(value: Any) -> str:
    """Return a value as the text of a message, its middle left out where it is long."""
    try:
        text = repr(value)
    except RecursionError:
        return "something nested very deep"
    if len(text) <= LONGEST_SHOWN:
        return text
    half = LONGEST_SHOWN // 2
    return f"{text[:half]} ... {text[-half:]} ({len(text):,} characters)"


def file_differences(disk: OnDisk, there: RunOnServer) -> list[str]:
    """Compare files and artifacts, where the server was asked for them."""
    if there.files is None:
        return []
    found = missing_files(disk, there.files)
    for artifact in sorted(disk.artifacts, key=lambda artifact: artifact.name):
        if artifact.incremental:
            continue
        version = there.artifacts.get((artifact.name, artifact.digest))
        if version:
            labels = {"tag": artifact.tags - version.tags, "alias": artifact.aliases - version.aliases}
            what = [f"the {kind} {name}" for kind, names in labels.items() for name in sorted(names)]
            found += [f"{each} of the artifact {artifact.name} is not on the server" for each in what]
        else:
            gone = [file for file in artifact.staged if not Path(file).exists()]
            # Staged files are removed once they are sent.
            rest = f", {NOR_ON_DISK} ({gone[0]})" if gone else ""
            found.append(f"the artifact {artifact.name} ({artifact.digest[:8]}) is not complete on the server{rest}")
    added = Counter(artifact.name for artifact in disk.artifacts if artifact.incremental)
    held = Counter(name for name, _ in there.artifacts)
    for name, logged in sorted(added.items()):
        # The digest of each version there is over the ones before it too, and is the server's own.
        if held[name] < min(logged, FILES_PER_RUN):
            found.append(f"the artifact {name} has {held[name]} complete versions on the server, the disk {logged}")
    return found


def same(ours: Any, theirs: Any) -> bool:
    """Return whether the server's value equals the disk's, which may hold floats that JSON does not have.

    Integers above 2^53 are equal where they are the same double: wandb-core sends one above 2^63 as a double, and
    whether the server keeps more of the others than a double holds is not known.
    """
    # Without recursion, which a config that is nested some hundred deep would exhaust.
    pairs = [(ours, theirs)]
    while pairs:
        one, other = pairs.pop()
        if is_mapping(one) and is_mapping(other):
            pairs += [(value, other.get(key)) for key, value in one.items()]
        elif is_list(one) and is_list(other):
            if len(one) != len(other):
                return False
            pairs += zip(one, other, strict=True)
        elif not _same_leaf(one, other):
            return False
    return True


def same_summary(ours: Any, theirs: Any, dots: int = 0) -> bool:
    """Return whether a summary's value is the disk's as far as the server can keep it.

    What is nested deeper than `SUMMARY_DOTS` may be left out, and a NaN or an infinity may be null.
    """
    if is_mapping(ours) and theirs is None:
        if dots >= SUMMARY_DOTS:
            return True
        deeper = [is_mapping(value) and same_summary(value, None, dots + 1) for value in ours.values()]
        return bool(deeper) and all(deeper)
    if is_mapping(ours) and is_mapping(theirs):
        kept = [(value, theirs.get(key)) for key, value in ours.items() if dots < SUMMARY_DOTS or key in theirs]
        return all(same_summary(value, other, dots + 1) for value, other in kept)
    if is_list(ours) and is_list(theirs):
        return len(ours) == len(theirs) and all(map(same_summary, ours, theirs))
    return (theirs is None and isinstance(ours, float) and not math.isfinite(ours)) or same(ours, theirs)


def _same_leaf(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and math.isnan(ours):
        # JSON has no NaN: W&B sends it as a text.
        return theirs == "NaN" or (isinstance(theirs, float) and math.isnan(theirs))
    if isinstance(ours, float) and math.isinf(ours):
        return theirs in (ours, "Infinity" if ours > 0 else "-Infinity")
    if ours == theirs:
        return True
    if isinstance(ours, int) and isinstance(theirs, int | float) and abs(ours) > LARGEST_EXACT:
        try:
            return float(ours) == float(theirs)
        except OverflowError:
            # A double has no such number: it may be an infinity or nothing.
            return False
    return False
