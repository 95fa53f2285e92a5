// The best value so far, against runs or a search's points and against hours, and Pareto fronts.

// A dot for each of `points`, [{run, x, y}], and a line along the best of them so far.
function soFar(points, isBetter) {
  const line = { run: null, runs: [], label: "best so far", xs: [], ys: [] };
  for (const { x, y } of points) {
    const before = line.ys.at(-1);
    if (before !== undefined) {
      line.xs.push(x);
      line.ys.push(before);
    }
    if (before === undefined || isBetter(y, before)) {
      line.xs.push(x);
      line.ys.push(y);
    }
  }
  return [...points.map(dot), line];
}

// A point whose run has no folder any more is drawn, and no run stands out for it.
function dot({ run, x, y, label }) {
  return { run, runs: run === null ? [] : [run], label, xs: [x], ys: [y] };
}

// Of runs in the order in which they ended, by the goal that is chosen.
function progress(against) {
  const values = [...bests()];
  // A job's best is that of all W&B runs in it.
  report.within.forEach((job, run) => {
    if (job !== null && values[run] && (!values[job] || better(values[run][0], values[job][0]))) values[job] = values[run];
  });
  const points = report.ended.map((run, i) => ({ run, x: against === "runs" ? i + 1 : report.hours[i], value: values[run] }));
  return soFar(points.filter(({ value }) => value !== null).map(({ run, x, value }) => ({ run, x, y: value[0] })), better);
}

// Of a search's points in the order in which they were asked for, by what its engine was told.
function searched(metric, against) {
  const { points, hours, ways } = report.search;
  const highest = ways[metric] === "highest";
  const given = points.flatMap(({ run, values }, i) => (
    values ? [{ run, x: against === "points" ? i + 1 : hours[i], y: values[metric], label: pointName(run, i) }] : []
  ));
  return soFar(given, (a, b) => (highest ? a > b : a < b));
}

function pointName(run, i) {
  return run === null ? `point ${i + 1}` : `${report.runs[run]}, point ${i + 1}`;
}

// All runs by two goals, and a line through those that no other surpasses in both.
function front() {
  const [one, other] = report.goals.map(({ metric, way }) => report.bests[metric]?.[way] ?? []);
  const dots = report.runs.flatMap((_, run) => (one[run] && other[run] ? [dot({ run, x: one[run][0], y: other[run][0] })] : []));
  const line = { run: null, runs: report.front, label: "Pareto front", xs: report.front.map((run) => one[run][0]), ys: report.front.map((run) => other[run][0]) };
  return [...dots, line];
}

function searchedFront() {
  const given = report.search.points.map((point, i) => ({ ...point, i })).filter(({ values }) => values);
  const best = given.filter((point) => point.front).sort((a, b) => a.values[0] - b.values[0]);
  const dots = given.map(({ run, values, i }) => dot({ run, x: values[0], y: values[1], label: pointName(run, i) }));
  const runs = best.map(({ run }) => run).filter((run) => run !== null);
  return [...dots, { run: null, runs, label: "Pareto front", xs: best.map(({ values }) => values[0]), ys: best.map(({ values }) => values[1]) }];
}
