"""Draw the state diagrams of the pages as SVG, as `flowchart` draws the flowcharts.

Only what the pages have is understood: lines `a --> b: 1 words`, in the order in which the states come. They stand one
under another; an arrow to the next one goes straight down, one that skips some goes round them on the right, one that
goes back on the left.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BOX, _HEIGHT, _DOWN = 130, 38, 92  # pixels: a box's width and height, from one state to the next
_LEFT, _RIGHT = 230, 290  # pixels beside the boxes for arrows and their words
_TOP = 6

_BLOCK = re.compile(r"```mermaid\nstateDiagram-v2\n(.*?)```", re.DOTALL)
_ARROW = re.compile(r"^\s*(\w+) --> (\w+): (.+)$", re.MULTILINE)


class Arrow(NamedTuple):
    """One line of a state diagram."""

    begin: str
    end: str
    words: str


def draw_state_diagrams(markdown: str) -> str:
    """Replace each state diagram of a page by its drawing."""
    return _BLOCK.sub(lambda found: _drawing(found[1]), markdown)


def arrows_of(diagram: str) -> list[Arrow]:
    """Return the arrows of a state diagram, in order."""
    return [Arrow(*found) for found in _ARROW.findall(diagram)]


def _drawing(diagram: str) -> str:
    arrows = arrows_of(diagram)
    states = list(dict.fromkeys(name for arrow in arrows for name in (arrow.begin, arrow.end)))
    middle = _LEFT + _BOX / 2
    places = {name: _TOP + number * _DOWN for number, name in enumerate(states)}
    boxes = [
        f'<rect class="step" x="{_LEFT}" y="{y}" width="{_BOX}" height="{_HEIGHT}" rx="4"/>'
        f'<text x="{middle}" y="{y + 24}">{name.replace("_", " ")}</text>'
        for name, y in places.items()
    ]
    drawn = [_drawn(arrow, states.index(arrow.end) - states.index(arrow.begin), places) for arrow in arrows]
    # Words over all lines, that they can be read.
    parts = [path for path, _ in drawn] + [words for _, words in drawn] + boxes
    title = "; ".join(f"from {arrow.begin} to {arrow.end}: {arrow.words}" for arrow in arrows).replace("_", " ")
    width, height = _LEFT + _BOX + _RIGHT, len(states) * _DOWN - _DOWN + _HEIGHT + 2 * _TOP
    return (
        f'<svg class="way states" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
        '<defs><marker id="on" markerWidth="9" markerHeight="9" refX="8" refY="4.5" orient="auto">'
        f'<path d="M0 0 9 4.5 0 9Z"/></marker></defs>{"".join(parts)}</svg>'
    )


def _drawn(arrow: Arrow, steps: int, places: dict[str, float]) -> tuple[str, str]:
    """Draw an arrow that goes so many states down, and its words."""
    begin, end = places[arrow.begin], places[arrow.end]
    middle = _LEFT + _BOX / 2
    if steps == 1:
        y = (begin + _HEIGHT + end) / 2
        return _path(f"M{middle} {begin + _HEIGHT} V{end - 2}"), _text(arrow.words, middle + 8, y + 4, "start")
    side, anchor = (1, "start") if steps > 0 else (-1, "end")
    edge = middle + side * _BOX / 2
    # Nested: the farther it goes, the farther out; on the right beyond the words of the arrows between the boxes.
    out = 110 + 30 * steps if steps > 0 else 18 - 24 * steps
    begin_y, end_y = begin + _HEIGHT / 2 + side * 6, end + _HEIGHT / 2 - side * 6
    x = edge + side * out
    path = f"M{edge} {begin_y} C{x} {begin_y} {x} {end_y} {edge + side * 2} {end_y}"
    # A curve with these two handles comes three quarters of the way out.
    return _path(path), _text(arrow.words, edge + side * (0.75 * out + 6), (begin_y + end_y) / 2 + 4, anchor)


def _path(path: str) -> str:
    return f'<path d="{path}" marker-end="url(#on)"/>'


def _text(words: str, x: float, y: float, anchor: str) -> str:
    return f'<text class="said" x="{x}" y="{y}" style="text-anchor: {anchor}">{words}</text>'
