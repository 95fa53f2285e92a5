"""Draw the flowcharts of the pages as SVG: GitHub draws a `mermaid` block itself, the site would need a script for it.

Only what the pages have is understood: one line `a & b --> c & d` for each step down, of names without spaces.
"""

from __future__ import annotations

import re
from itertools import pairwise

_BOX, _GAP, _DOWN = 120, 24, 78  # pixels: a box's width, between two boxes, from one layer to the next
_HEIGHT = 38

_BLOCK = re.compile(r"```mermaid\n(?:flowchart|graph) TB\n(.*?)```", re.DOTALL)


def draw_flowcharts(markdown: str) -> str:
    """Replace each flowchart of a page by its drawing."""
    return _BLOCK.sub(lambda found: _drawing(found[1]), markdown)


def layers_of(chart: str) -> list[list[str]]:
    """Return the names of a flowchart layer by layer, from the top."""
    layers: list[list[str]] = []
    for line in chart.splitlines():
        for names in ([name.strip() for name in part.split("&")] for part in line.split("-->") if part.strip()):
            if names not in layers:
                layers.append(names)
    return layers


def _drawing(chart: str) -> str:
    layers = layers_of(chart)
    width = max(len(layer) for layer in layers) * (_BOX + _GAP)
    places = {
        name: (width / 2 + (number - (len(layer) - 1) / 2) * (_BOX + _GAP), depth * _DOWN + 4)
        for depth, layer in enumerate(layers)
        for number, name in enumerate(layer)
    }
    boxes = [
        f'<rect class="step" x="{x - _BOX / 2}" y="{y}" width="{_BOX}" height="{_HEIGHT}" rx="4"/>'
        f'<text x="{x}" y="{y + 24}">{name}</text>'
        for name, (x, y) in places.items()
    ]
    arrows = [
        f'<path d="M{places[above][0]} {places[above][1] + _HEIGHT} '
        f'L{places[below][0]} {places[below][1] - 3}" marker-end="url(#down)"/>'
        for upper, lower in pairwise(layers)
        for above in upper
        for below in lower
    ]
    title = "; ".join(f"{' and '.join(upper)} may import {' and '.join(lower)}" for upper, lower in pairwise(layers))
    return (
        f'<svg class="way chart" viewBox="0 0 {width} {len(layers) * _DOWN - 30}" role="img" aria-label="{title}">'
        '<defs><marker id="down" markerWidth="9" markerHeight="9" refX="8" refY="4.5" orient="auto">'
        f'<path d="M0 0 9 4.5 0 9Z"/></marker></defs>{"".join(boxes + arrows)}</svg>'
    )
