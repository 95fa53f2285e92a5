from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from support.screenshots import IMAGES, draw_plan, draw_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMPARE = """async (pictures) => {
    const pixels = await Promise.all(pictures.map(async (picture) => {
        const image = new Image();
        image.src = "data:image/png;base64," + picture;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height);
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        return { size: [image.width, image.height], data: context.getImageData(0, 0, image.width, image.height).data };
    }));
    const [one, other] = pixels;
    if (String(one.size) !== String(other.size)) return { sizes: [one.size, other.size], part: 1 };
    let different = 0;
    for (let i = 0; i < one.data.length; i += 4) {
        const far = [0, 1, 2].some((channel) => Math.abs(one.data[i + channel] - other.data[i + channel]) > 40);
        if (far) different++;
    }
    return { sizes: [one.size, other.size], part: different / (one.data.length / 4) };
}"""
WIDTH = """() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d");
    context.font = "16px system-ui";
    return context.measureText("The pictures were drawn with this font").width;
}"""
DEJAVU_SANS = 308.234375
"""How wide that is in it, in pixels."""
PART = 0.01
"""Of the pixels may differ: the moment at which a page was made, the edges of letters."""


def compare(browser: Any, *files: Path) -> dict[str, Any]:
    page = browser.new_page()
    pictures = [base64.b64encode(file.read_bytes()).decode() for file in files]
    result: dict[str, Any] = page.evaluate(COMPARE, pictures)
    page.close()
    return result


@pytest.mark.parametrize(("draw", "count"), [(draw_report, 3), (draw_plan, 1)])
def test_the_pictures_in_the_documentation_are_of_the_pages_as_they_are(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw: Callable[..., None], count: int
) -> None:
    page = browser.new_page()
    width = page.evaluate(WIDTH)
    page.close()
    if abs(width - DEJAVU_SANS) > 0.5:
        pytest.skip("the font is not DejaVu Sans, in which the pictures were drawn (Debian: fonts-dejavu-core)")
    monkeypatch.setattr("runferry.runs.slurm.ask", lambda *command: None)
    target = tmp_path / "images"
    target.mkdir()
    draw(browser, tmp_path, target)
    drawn = sorted(target.iterdir())
    assert len(drawn) == count
    for file in drawn:
        found = compare(browser, IMAGES / file.name, file)
        assert found["part"] <= PART, f"{file.name}: {found}; type: python tests/support/screenshots.py"


def test_a_picture_of_something_else_is_told(browser: Any) -> None:
    assert compare(browser, IMAGES / "report.png", IMAGES / "report-dark.png")["part"] > PART


def test_every_picture_in_the_documentation_is_drawn_here() -> None:
    assert {file.name for file in IMAGES.glob("*.png")} == {"attempts.png", "plan.png", "report.png", "report-dark.png"}
