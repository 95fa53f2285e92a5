// The page itself: which charts there are, the switches, the filters.

const texts = rows.map((row) => `${row.textContent} ${row.dataset.id}`.toLowerCase());
let keys = [...document.querySelectorAll(".key")];
const clear = document.querySelector(".clear");

function runsOf(key) {
  return key.dataset.runs.split(" ").map(Number);
}

// Seconds of training at a step, between the moments that are known.
function timeAt([steps, seconds], step) {
  let i = 0;
  while (i < steps.length - 2 && steps[i + 1] < step) i++;
  if (steps.length < 2) return seconds[0] ?? 0;
  const part = (step - steps[i]) / (steps[i + 1] - steps[i]);
  return seconds[i] + part * (seconds[i + 1] - seconds[i]);
}

const onTime = new Map();

function curvesOf(metric) {
  if (state.axis === "step") return metric.series.map(({ run, steps, values, lost }) => ({ run, xs: steps, ys: values, lost }));
  if (!onTime.has(metric)) {
    const known = metric.series.filter(({ run }) => report.clocks[run][0].length);
    onTime.set(metric, known.map(({ run, steps, values, lost }) => (
      { run, xs: steps.map((step) => timeAt(report.clocks[run], step)), ys: values, lost }
    )));
  }
  return onTime.get(metric);
}

for (const plot of document.querySelectorAll(".plot[data-chart]")) {
  const metric = report.metrics[plot.dataset.chart];
  new Chart(plot, () => curvesOf(metric));
}
for (const plot of document.querySelectorAll(".plot[data-system]")) {
  const { series } = report.system[plot.dataset.system];
  new Chart(plot, () => series.map(({ run, seconds, values }) => ({ run, xs: seconds, ys: values })), "time");
}
for (const plot of document.querySelectorAll(".plot[data-progress]")) {
  const against = plot.dataset.progress;
  new Chart(plot, () => progress(against), against).ofGoal = true;
}
for (const plot of document.querySelectorAll(".plot[data-front]")) new Chart(plot, front, report.goals[0].metric);
for (const plot of document.querySelectorAll(".plot[data-search]")) {
  const { search: metric, against } = plot.dataset;
  new Chart(plot, () => searched(metric, against), against);
}
for (const plot of document.querySelectorAll(".plot[data-search-front]")) new Chart(plot, searchedFront, report.search.metrics[0]);

function on(id, event, listener) {
  document.getElementById(id)?.addEventListener(event, listener);
}

// One metric is drawn large, all of them small.
const figures = [...document.querySelectorAll(".charts.metrics figure")];
const MORE = 12;
let shownFigures = MORE;

function chooseMetric() {
  figures.forEach((figure, i) => {
    figure.hidden = state.metric === "" ? i >= shownFigures : state.metric !== String(i);
    figure.classList.toggle("only", state.metric !== "");
    figure.querySelector(".plot").classList.toggle("large", state.metric !== "");
  });
  const more = document.getElementById("more");
  if (more) more.hidden = state.metric !== "" || shownFigures >= figures.length;
  notify("redraw");
}
on("metric", "change", ({ target }) => {
  state.metric = target.value;
  chooseMetric();
});
on("more", "click", () => {
  shownFigures = figures.length;
  chooseMetric();
});
on("axis", "change", ({ target }) => {
  state.axis = target.value;
  zoom(null);
});
on("robust", "change", ({ target }) => {
  state.robust = target.checked;
  notify("redraw");
});

// Which curves are drawn.
const show = document.getElementById("show");
const groupBy = document.getElementById("group");

function chooseCurves() {
  state.show = show.value;
  state.groups = groupsBy(groupBy?.value);
  state.groupOf = new Map(state.groups.flatMap(({ runs }, i) => runs.map((run) => [run, i])));
  if (groupBy) groupBy.closest("label").hidden = state.show !== "mean";
  const colour = groupColours(state.groups);
  const legend = document.getElementById("groups");
  legend.hidden = state.show !== "mean";
  document.querySelectorAll(".legend.of-runs").forEach((each) => { each.hidden = state.show === "mean"; });
  legend.replaceChildren(...state.groups.map(({ label, runs }, i) => {
    const key = element("button", undefined, "key");
    const swatch = element("span", undefined, "swatch");
    swatch.style.setProperty("--colour", colour[i]);
    key.type = "button";
    key.dataset.runs = runs.join(" ");
    key.setAttribute("aria-pressed", "false");
    key.append(swatch, label);
    key.addEventListener("click", () => toggle(runs));
    return key;
  }));
  keys = [...document.querySelectorAll(".key")];
  highlightKeys();
  notify("redraw");
}
show?.addEventListener("change", chooseCurves);
groupBy?.addEventListener("change", chooseCurves);
darkScheme.addEventListener("change", () => show && chooseCurves());

// Zoom by dragging over a chart, or by numbers; all charts follow.
const zoomFrom = document.getElementById("zoom-from");
const zoomTo = document.getElementById("zoom-to");
const whole = document.getElementById("whole");

function zoom(range) {
  state.zoom = range && range[0] < range[1] ? range : null;
  if (zoomFrom) {
    [zoomFrom.value, zoomTo.value] = state.zoom ? state.zoom.map((value) => Number(value.toPrecision(6))) : ["", ""];
    whole.hidden = !state.zoom;
  }
  notify("redraw");
}
for (const input of [zoomFrom, zoomTo]) {
  input?.addEventListener("change", () => {
    if (zoomFrom.value !== "" && zoomTo.value !== "") zoom([Number(zoomFrom.value), Number(zoomTo.value)]);
    else if (zoomFrom.value === "" && zoomTo.value === "") zoom(null);
  });
}
whole?.addEventListener("click", () => zoom(null));
on("log", "change", ({ target }) => {
  state.log = target.checked;
  notify("redraw");
});
on("smoothing", "input", ({ target }) => {
  state.smoothing = Number(target.value);
  document.getElementById("smoothing-value").textContent = state.smoothing ? state.smoothing.toFixed(2) : "off";
  notify("redraw");
});

const coordinates = document.getElementById("coordinates");
const outcome = document.getElementById("outcome");
const parallel = coordinates && new Coordinates(coordinates, outcome.value);

function chooseOutcome() {
  const last = parallel.outcome;
  if (last !== outcome.value) state.brushes.delete(last);
  parallel.outcome = outcome.value;
  for (const rated of document.querySelectorAll(".importance")) rated.hidden = rated.dataset.outcome !== outcome.value;
  applyFilters();
}

// A run is shown when its row has all the words, its state is the one chosen, and its line crosses every brush.
function applyFilters() {
  state.hidden.clear();
  const brushes = [...state.brushes.values()];
  for (const [i, row] of rows.entries()) {
    const run = Number(row.dataset.run);
    const shown = state.words.every((word) => texts[i].includes(word))
      && (!state.kind || row.dataset.state === state.kind)
      && brushes.every((brush) => crosses(run, brush));
    row.hidden = !shown;
    if (!shown) state.hidden.add(run);
  }
  for (const row of document.querySelectorAll("#attempts-table tbody tr")) {
    row.hidden = state.hidden.has(Number(row.dataset.run));
  }
  for (const long of longTables) long.layOut();
  const count = rows.length - state.hidden.size;
  document.getElementById("shown").textContent = count === rows.length ? "" : `${count} of ${rows.length} runs shown`;
  document.getElementById("reset").hidden = count === rows.length;
  notify("redraw");
  highlightKeys();
}
on("words", "input", ({ target }) => {
  state.words = target.value.toLowerCase().split(/\s+/).filter(Boolean);
  applyFilters();
});
on("kind", "change", ({ target }) => {
  state.kind = target.value;
  applyFilters();
});
on("reset", "click", () => {
  document.getElementById("words").value = document.getElementById("kind").value = state.kind = "";
  state.words = [];
  state.brushes.clear();
  applyFilters();
});
outcome?.addEventListener("change", chooseOutcome);

function highlightKeys() {
  const { pressed } = state;
  document.body.classList.toggle("some-pressed", pressed.size > 0);
  if (clear) clear.hidden = pressed.size === 0;
  for (const key of keys) {
    const is = String(pressed.size > 0 && runsOf(key).every((run) => pressed.has(run)));
    // Of a thousand keys few change.
    if (key.getAttribute("aria-pressed") !== is) key.setAttribute("aria-pressed", is);
  }
}
// Pointing changes no key: a thousand rows are left alone then.
let before = "";
listeners.highlight.push(() => {
  const now = [...state.pressed].join();
  if (now !== before) highlightKeys();
  before = now;
});

for (const key of keys) key.addEventListener("click", (event) => {
  event.stopPropagation();
  toggle(runsOf(key));
});
// The groups' keys are made later, and have their own.
for (const row of rows) {
  const run = Number(row.dataset.run);
  row.addEventListener("pointerenter", () => point(run));
  row.addEventListener("pointerleave", () => point(null));
  row.addEventListener("click", ({ target }) => !target.closest("a") && !getSelection().toString() && toggle([run]));
}

function showAll() {
  state.pressed.clear();
  notify("highlight");
}
clear?.addEventListener("click", showAll);
document.addEventListener("keydown", ({ key }) => key === "Escape" && showAll());

// Inside Snakemake's report the files beside this page are out of reach.
if (!["file:", "http:", "https:"].includes(location.protocol) || window.parent !== window) {
  for (const link of document.querySelectorAll("a.local")) link.replaceWith(link.textContent);
}

by?.addEventListener("change", chooseGoal);
if (parallel) chooseOutcome();
if (show) chooseCurves();
if (by) chooseGoal();
if (figures.length) chooseMetric();
ready = true;
notify("redraw");
document.body.dataset.ready = "true";
