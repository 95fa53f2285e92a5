// Which curves a chart has: all, the best ten, or the mean and band of groups of runs; and an axis that outliers leave.

const MANY = 60;
const BEST = 10;
const GRID = 120;
const CLASSES = 4;

// What `by` divides the runs into: one group for each of a few values, or classes of about as many runs each.
function groupsBy(name) {
  const parameter = report.parameters.find((each) => each.name === name);
  const runs = report.runs.map((_, run) => run);
  if (!parameter) return [{ label: "all runs", runs }];
  const given = runs.filter((run) => parameter.values[run] !== null);
  const distinct = [...new Set(given.map((run) => parameter.values[run]))];
  const numeric = distinct.every((value) => typeof value === "number");
  distinct.sort(numeric ? (a, b) => a - b : undefined);
  if (distinct.length <= 8) {
    return distinct.map((value) => ({
      label: `${name} = ${numeric ? number(value, 3) : value}`, numeric, runs: given.filter((run) => parameter.values[run] === value),
    }));
  }
  if (!numeric) return [{ label: "all runs", runs }];
  const sorted = [...given].sort((a, b) => parameter.values[a] - parameter.values[b]);
  return Array.from({ length: CLASSES }, (_, i) => {
    const some = sorted.slice(Math.floor((sorted.length * i) / CLASSES), Math.floor((sorted.length * (i + 1)) / CLASSES));
    const [low, high] = [some[0], some.at(-1)].map((run) => number(parameter.values[run], 3));
    return { label: `${name} ${low} to ${high}`, numeric, runs: some };
  }).filter(({ runs: some }) => some.length);
}

function groupColours(groups) {
  const { ramp, words } = colours();
  const step = (ramp.length - 1) / Math.max(groups.length - 1, 1);
  return groups.map(({ numeric }, i) => (numeric ? ramp[Math.round(i * step)] : words[i % words.length]));
}

// The value of a curve at x, between its points; null outside of it and in its gaps.
function valueAt({ xs, ys }, x, from) {
  let i = from;
  while (i < xs.length - 1 && xs[i + 1] < x) i++;
  if (x < xs[0] || x > xs.at(-1)) return [null, i];
  if (xs.length === 1 || xs[i] === x) return [ys[i], i];
  const [y0, y1] = [ys[i], ys[i + 1]];
  if (y0 === null || y1 === null) return [null, i];
  return [y0 + ((x - xs[i]) / (xs[i + 1] - xs[i] || 1)) * (y1 - y0), i];
}

// The mean of the middle 80 % of a group's curves, and the band that these fill.
function meanOf(lines, left, right) {
  const places = lines.map(() => 0);
  const made = { xs: [], ys: [], low: [], high: [] };
  const short = lines.every(({ xs }) => xs.length === 1);
  for (let k = 0; k < (short ? 1 : GRID); k++) {
    const x = left + ((right - left) * k) / (GRID - 1);
    const values = [];
    lines.forEach((line, i) => {
      const [value, place] = short ? [line.ys[0], 0] : valueAt(line, x, places[i]);
      places[i] = place;
      if (value !== null) values.push(value);
    });
    values.sort((a, b) => a - b);
    const cut = Math.floor(values.length / 10);
    const kept = values.slice(cut, values.length - cut);
    made.xs.push(short ? lines[0].xs[0] : x);
    made.ys.push(kept.length ? kept.reduce((sum, value) => sum + value, 0) / kept.length : null);
    made.low.push(kept[0] ?? null);
    made.high.push(kept.at(-1) ?? null);
  }
  return made;
}

// An axis for the typical run: what reaches farther than four times its range beyond it is cut off, and counted.
function robustExtent(lines, from, to) {
  const ends = [];
  for (const { xs, ys } of lines) {
    let [low, high] = [Infinity, -Infinity];
    for (let i = 0; i < xs.length; i++) {
      if (ys[i] === null || xs[i] < from || xs[i] > to) continue;
      if (ys[i] < low) low = ys[i];
      if (ys[i] > high) high = ys[i];
    }
    if (low <= high) ends.push([low, high]);
  }
  if (!ends.length) return [Infinity, -Infinity];
  const sorted = (values) => values.sort((a, b) => a - b);
  const lows = sorted(ends.map(([low]) => low));
  const highs = sorted(ends.map(([, high]) => high));
  const at = (values, part) => values[Math.floor((values.length - 1) * part)];
  const range = Math.max(at(sorted(ends.map(([low, high]) => high - low)), 0.5), at(highs, 0.75) - at(highs, 0.25), at(lows, 0.75) - at(lows, 0.25));
  const [least, most] = [at(lows, 0.5) - 4 * range, at(highs, 0.5) + 4 * range];
  if (!range || !state.robust) return [lows[0], highs.at(-1)];
  return [lows.find((low) => low >= least) ?? least, highs.findLast((high) => high <= most) ?? most];
}
