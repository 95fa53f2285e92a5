"""A report's page in a browser, with all that it says and asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from support.drawing import wait_until_drawn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class OpenPage:
    """A page in the browser, with all that it said and asked for."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}).new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        # Generous: other tests may have the machine's cores.
        self.page.set_default_timeout(120_000)
        self.page.goto(file.as_uri())
        wait_until_drawn(self.page)

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def raised(self) -> list[str]:
        """The runs that stand out."""
        return self.page.evaluate("raised().map((run) => report.runs[run]).sort()")

    def colours(self, chart: int, layer: str = "base") -> int:
        """How many of the runs' colours a chart has pixels of."""
        return self.page.evaluate(
            """([index, layer]) => {
                const canvas = charts[index][layer];
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                return colours().runs.filter((colour) => {
                    const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
                    for (let i = 0; i < data.length; i += 4) {
                        const near = Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 9;
                        if (near && data[i + 3] > 200) return true;
                    }
                    return false;
                }).length;
            }""",
            [chart, layer],
        )

    def point_at(self, chart: int, run: int, index: int) -> None:
        """Move the pointer to a point of a run's curve, which is negative from its end."""
        x, y = self.page.evaluate(
            """([chart, run, index]) => {
                const it = charts[chart];
                it.plot.scrollIntoView({ block: "center" });
                const line = it.drawn.find((line) => line.run === run);
                const { left, top } = it.plot.getBoundingClientRect();
                return [left + it.across(line.xs.at(index)), top + it.up(line.ys.at(index))];
            }""",
            [chart, run, index],
        )
        self.page.mouse.move(x, y)


Open = Callable[..., OpenPage]


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    opened: list[OpenPage] = []

    def open_it(file: Path, **context: Any) -> OpenPage:
        opened.append(OpenPage(browser, file, **context))
        return opened[-1]

    yield open_it
    for page in opened:
        page.page.context.close()
