// The best run by a goal: what the first screen says of it, its columns of the table, the best ten.

const by = document.getElementById("by");

// [value, step] of each run by the goal that is chosen; null where a run has none.
function bests() {
  const [metric, way] = goal();
  return report.bests[metric]?.[way] ?? report.runs.map(() => null);
}

function goal() {
  const chosen = by?.selectedOptions[0];
  return chosen ? [chosen.dataset.metric, chosen.dataset.way] : ["", "lowest"];
}

function better(a, b) {
  return goal()[1] === "highest" ? a > b : a < b;
}

function ranked() {
  const values = bests();
  const runs = values.map((_, run) => run).filter((run) => values[run] !== null);
  return runs.sort((a, b) => (better(values[a][0], values[b][0]) ? -1 : better(values[b][0], values[a][0]) ? 1 : a - b));
}

function chooseGoal() {
  const [metric, way] = goal();
  const order = ranked();
  const values = bests();
  state.best = new Set(order.slice(0, BEST));
  const button = document.querySelector("#best-column button");
  const direction = way === "highest" ? "descending" : "ascending";
  if (!ready) {
    // The page is written by this goal.
    if (metric) markSorted(button, direction);
    return;
  }
  for (const name of document.querySelectorAll(".best-words")) name.textContent = `${way} ${metric}`;
  for (const row of rows) {
    const best = values[row.dataset.run] ?? [null, null];
    row.querySelectorAll(".best-cell").forEach((cell, i) => {
      cell.textContent = best[i] === null ? "\u2013" : number(best[i], i ? 12 : 4);
      best[i] === null ? delete cell.dataset.sort : (cell.dataset.sort = best[i]);
    });
  }
  tellBest(order[0], values, metric);
  if (order.length) sortBy(button, sorters.indexOf(button), direction);
  for (const each of document.querySelectorAll(".of-sweeps-goal")) each.hidden = by.selectedIndex !== Number(by.dataset.first);
  // All other charts stay as they are.
  for (const chart of charts) if (chart.ofGoal || (state.show === "best" && !chart.x)) chart.change();
}

function tellBest(run, values, metric) {
  const card = document.getElementById("best-run");
  // A page without a goal says nothing of a best run until one is chosen.
  const none = run === undefined;
  card.querySelector(".told").hidden = none;
  card.querySelector(".untold").hidden = !none;
  const section = document.getElementById("progress");
  if (section) section.hidden = none;
  card.querySelector(".untold").textContent = metric ? `No run has a value of ${metric} yet.` : "Choose a metric by which runs are compared.";
  if (none) return;
  const [value, step] = values[run];
  const last = report.finals[metric][run];
  const name = card.querySelector(".key");
  name.dataset.runs = run;
  name.querySelector(".name").textContent = report.runs[run];
  name.querySelector(".swatch").className = `swatch colour-${report.colours[run]}`;
  card.querySelector(".value").textContent = number(value, 4);
  card.querySelector(".at").textContent = step === null ? "" : ` at step ${step}`;
  card.querySelector(".last").textContent = last === null ? "" : `, last ${number(last, 4)}`;
  const link = card.querySelector(".link");
  link.hidden = !report.urls[run];
  if (report.urls[run]) link.href = report.urls[run];
  card.querySelector("dl").replaceChildren(...report.parameters.flatMap(({ name: parameter, values: given }) => {
    const pair = element("div");
    pair.append(element("dt", parameter), element("dd", given[run] === null ? "\u2013" : String(given[run])));
    return [pair];
  }));
}
