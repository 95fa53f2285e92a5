"""Find the images, tables and histograms that were logged last, and embed small images into the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from runferry.system.values import decode_or_keep, is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

LARGEST_IMAGE = 64 * 1024
"""Bytes: a larger file is named and linked, and not embedded."""
LARGEST_TOTAL = 2 * 2**20
"""Bytes of all embedded files together."""
MOST_IMAGES = 4
"""Of each name and run."""
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
_KINDS = {
    "image-file": "image",
    "images/separated": "images",
    "table-file": "table",
    "histogram": "histogram",
    "video-file": "video",
    "audio-file": "audio",
    "html-file": "HTML",
    "plotly-file": "plot",
    "object3D-file": "3D object",
    "molecule-file": "molecule",
}


@dataclass(frozen=True)
class Media:
    """The media that a run logged last under one name.

    Attributes
    ----------
    kind : str
        "image", "images", "table", "histogram", or W&B's own word for another one.
    step : int
        Of the row that has it.
    files : sequence of str
        Paths below the segment's `files` folder.
    size : str
        In words, such as "3 rows of 2 columns"; empty where there is nothing to say.
    """

    kind: str
    step: int
    files: Sequence[str] = ()
    size: str = ""


@dataclass(frozen=True)
class Shown:
    """The media of one run and name as the page shows them: embedded images, and sentences for the others."""

    name: str
    run: int
    kind: str
    step: int
    images: list[str] = field(default_factory=list[str])
    """Addresses `data:image/...`."""
    note: str = ""


def take_media(columns: dict[str, tuple[list[int], list[str]]], steps: Sequence[int]) -> dict[str, Media]:
    """Take the columns of media out of a history's columns, and return what was logged last under each name.

    wandb writes a row's image as several values: `image._type`, `image.path`, `image.width` (0.22 to 0.31).

    Parameters
    ----------
    columns
        Column -> numbers of rows, and the JSON texts in them; those of media are removed.
    steps
        Of all rows.
    """
    found: dict[str, Media] = {}
    for typed in [name for name in columns if name.endswith("._type")]:
        name = typed.removesuffix("._type")
        row = columns[typed][0][-1]
        mine = {column: columns.pop(column) for column in list(columns) if column.startswith(f"{name}.")}
        values = {
            column.removeprefix(f"{name}."): decode_or_keep(texts[-1])
            for column, (rows, texts) in mine.items()
            if rows[-1] == row
        }
        found[name] = _media(values, steps[row])
    for name in [name for name, (_, texts) in columns.items() if texts[-1].startswith("{") and '"_type"' in texts[-1]]:
        rows, texts = columns.pop(name)
        value = decode_or_keep(texts[-1])
        if is_mapping(value):
            found[name] = _media(value, steps[rows[-1]])
    return found


def without_media(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary without its media, also in nested mappings."""
    kept: dict[str, Any] = {}
    for name, value in summary.items():
        if not is_mapping(value):
            kept[name] = value
        elif "_type" not in value:
            kept[name] = without_media(value)
    return kept


def _media(values: Mapping[str, Any], step: int) -> Media:
    kind = str(values.get("_type"))
    names = values.get("filenames")
    files = [str(name) for name in names] if is_list(names) else [str(values["path"])] if "path" in values else []
    size = f"{values['nrows']} rows of {values['ncols']} columns" if {"nrows", "ncols"} <= values.keys() else ""
    return Media(_KINDS.get(kind, kind), step, files, size)


def shown_media(runs: Iterable[tuple[int, Mapping[str, tuple[Media, Path]]]], results: Path) -> list[Shown]:
    """Return the media of runs as the page shows them; images are embedded until the page has enough of them.

    Parameters
    ----------
    runs
        Their numbers in the page, with the media of each by name and the folder of their files; those first whose
        images are to be embedded first.
    results
        The experiment's folder, to which links are relative.
    """
    found: list[Shown] = []
    left = LARGEST_TOTAL
    for number, logged in runs:
        for name, (media, folder) in sorted(logged.items()):
            images: list[str] = []
            if media.kind in {"image", "images"}:
                for file in media.files[:MOST_IMAGES]:
                    image = _embedded(folder, file, min(left, LARGEST_IMAGE))
                    if image:
                        images.append(image)
                        left -= len(image) * 3 // 4
            found.append(
                Shown(name, number, media.kind, media.step, images, _note(media, len(images), folder, results))
            )
    return found


def _note(media: Media, embedded: int, folder: Path, results: Path) -> str:
    if media.kind not in {"image", "images"}:
        return ", ".join(part for part in (media.kind, media.size) if part)
    count = len(media.files)
    if embedded == count:
        return ""
    where = folder.relative_to(results) if folder.is_relative_to(results) else folder
    first = f"{embedded} of {count} shown" if embedded else f"{count} not shown"
    return f"{first}; they lie in {where}/{PurePosixPath(media.files[0]).parent}"


def _embedded(folder: Path, name: str, most: int) -> str | None:
    """Return an image as a `data:` address; None for what is too large, no image, or outside of its folder."""
    root = folder.resolve()
    try:
        file = (root / name).resolve()
        if not file.is_relative_to(root) or file.stat().st_size > most:
            return None
        content = file.read_bytes()
    except (OSError, ValueError):
        return None
    kind = next((kind for start, kind in _SIGNATURES.items() if content.startswith(start)), None)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}" if kind else None
