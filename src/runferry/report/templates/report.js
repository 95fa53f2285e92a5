"use strict";

const report = JSON.parse(document.getElementById("curves").textContent);
const tip = document.getElementById("tip");
const clear = document.querySelector(".clear");
const plots = document.querySelectorAll(".plot");
const numbers = new Map(report.runs.map((name, run) => [name, run]));

// Runs whose names were pressed, and the one under the pointer; all others step back.
const pressed = new Set();
let pointed = null;

function highlight() {
  const runs = new Set(pressed);
  if (pointed !== null) runs.add(pointed);
  for (const plot of plots) {
    plot.classList.toggle("some-raised", runs.size > 0);
    for (const mark of plot.querySelectorAll("path[aria-label]")) {
      mark.classList.toggle("raised", runs.has(numbers.get(mark.getAttribute("aria-label"))));
    }
  }
  document.body.classList.toggle("some-pressed", pressed.size > 0);
  if (clear) clear.hidden = pressed.size === 0;
  for (const key of document.querySelectorAll(".key")) {
    key.setAttribute("aria-pressed", String(runsOf(key).every((run) => pressed.has(run))));
  }
}

function runsOf(key) {
  return key.dataset.runs.split(" ").map(Number);
}

function toggle(runs) {
  const all = runs.every((run) => pressed.has(run));
  for (const run of runs) all ? pressed.delete(run) : pressed.add(run);
  highlight();
}

function point(run) {
  if (run !== pointed) {
    pointed = run;
    highlight();
  }
}

function rowsOf(chart) {
  const rows = [];
  for (const { run, steps, values, alone } of chart.series) {
    const singles = new Set(alone);
    for (let i = 0; i < steps.length; i++) {
      rows.push({
        run: report.runs[run],
        colour: report.colours[run],
        step: steps[i],
        value: values[i],
        alone: singles.has(i) ? 1 : 0,
      });
    }
  }
  return rows;
}

// The point next to (x, y), in pixels of the plot, no farther than 40 of them.
function nearest(chart, view, x, y) {
  const across = view.scale("x");
  const up = view.scale("y");
  const from = across.invert(x - 40);
  const to = across.invert(x + 40);
  let best = null;
  let least = 40 * 40;
  for (const { run, steps, values } of chart.series) {
    if (pressed.size && !pressed.has(run)) continue;
    for (let i = 0; i < steps.length; i++) {
      if (steps[i] < from || steps[i] > to || values[i] === null) continue;
      const left = across(steps[i]);
      const top = up(values[i]);
      const distance = (left - x) ** 2 + (top - y) ** 2;
      if (distance < least) {
        least = distance;
        best = { run, left, top, step: steps[i], value: values[i] };
      }
    }
  }
  return best;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function number(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 6, useGrouping: false });
}

function explain(plot, found, left, top) {
  let dot = plot.querySelector(".dot");
  if (!found) {
    tip.hidden = true;
    dot?.remove();
    return;
  }
  if (!dot) {
    dot = plot.appendChild(document.createElement("div"));
    dot.className = "dot";
  }
  dot.style.setProperty("--colour", `var(--run-${report.colours[found.run]})`);
  dot.style.left = `${left}px`;
  dot.style.top = `${top}px`;
  const line = element("span", `step ${found.step}: `);
  line.append(element("b", number(found.value)));
  tip.replaceChildren(element("strong", report.runs[found.run]), line);
  tip.hidden = false;
  const frame = plot.getBoundingClientRect();
  const x = frame.left + left;
  const onLeft = x + 16 + tip.offsetWidth > document.documentElement.clientWidth;
  tip.style.left = `${window.scrollX + (onLeft ? Math.max(x - 16 - tip.offsetWidth, 0) : x + 16)}px`;
  tip.style.top = `${window.scrollY + frame.top + top - tip.offsetHeight / 2}px`;
}

async function draw(plot) {
  const chart = report.charts[plot.dataset.chart];
  const single = chart.series.some(({ alone }) => alone.length > 0);
  const layer = single ? report.spec.layer : report.spec.layer.slice(0, 1);
  const spec = { ...report.spec, layer, datasets: { curves: rowsOf(chart) } };
  // `ast` has Vega interpret its expressions: the page's policy forbids making code from text.
  const { view } = await vegaEmbed(plot, spec, {
    renderer: "svg", actions: false, ast: true, tooltip: false, defaultStyle: false,
  });

  let found = null;
  plot.addEventListener("pointermove", (event) => {
    const frame = plot.getBoundingClientRect();
    const [left, top] = view.origin();
    found = nearest(chart, view, event.clientX - frame.left - left, event.clientY - frame.top - top);
    explain(plot, found, found && found.left + left, found && found.top + top);
    point(found ? found.run : null);
  });
  plot.addEventListener("pointerleave", () => {
    found = null;
    explain(plot, null);
    point(null);
  });
  plot.addEventListener("click", () => {
    if (found) toggle([found.run]);
  });
}

for (const key of document.querySelectorAll(".key")) key.addEventListener("click", () => toggle(runsOf(key)));

for (const row of document.querySelectorAll("tbody tr")) {
  row.addEventListener("pointerenter", () => point(Number(row.dataset.run)));
  row.addEventListener("pointerleave", () => point(null));
}

function showAll() {
  pressed.clear();
  highlight();
}

clear?.addEventListener("click", showAll);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") showAll();
});

// Sorting: what has no value comes last, whichever the direction.
function sortBy(button, column) {
  const body = document.querySelector("tbody");
  const direction = button.dataset.direction === "ascending" ? "descending" : "ascending";
  const sign = direction === "ascending" ? 1 : -1;
  const valueOf = (row) => row.cells[column].dataset.sort ?? "";
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [valueOf(one), valueOf(other)];
    if (a === "" || b === "") return (a === "") - (b === "");
    const difference = Number(a) - Number(b);
    return sign * (Number.isNaN(difference) ? a.localeCompare(b, "en", { numeric: true }) : difference);
  });
  for (const other of document.querySelectorAll("thead button")) {
    delete other.dataset.direction;
    other.closest("th").removeAttribute("aria-sort");
  }
  button.dataset.direction = direction;
  button.closest("th").setAttribute("aria-sort", direction);
  body.append(...rows);
}

// In the order of the columns: Run and State, those of the second row, the rest of the first.
const [upper, lower] = document.querySelectorAll("thead tr");
const outer = [...upper.querySelectorAll("button")];
const sorters = [...outer.slice(0, 2), ...lower.querySelectorAll("button"), ...outer.slice(2)];
sorters.forEach((button, column) => button.addEventListener("click", () => sortBy(button, column)));

Promise.all([...plots].map(draw));
