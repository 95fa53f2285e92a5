// Line charts. uPlot draws axes, curves and the zoom; on a canvas above it are the runs that stand out, so that
// pointing at one of a thousand draws one.

const HEIGHT = 220;
const charts = [];
const TIMES = [0.001, 0.01, 0.1, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
const WHOLE = Array.from({ length: 12 }, (_, i) => [1, 2, 5].map((factor) => factor * 10 ** i)).flat();
const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Arial, sans-serif";

class Chart {
  // `series()` gives [{run, xs, ys, lost}]; `x` names what is below a chart that does not follow the page's switches,
  // of time or of dots.
  constructor(plot, series, x = "") {
    Object.assign(this, { plot, series, x, dots: x && x !== "time", dirty: true, near: false, found: null, drawn: [] });
    this.place = plot.appendChild(element("div", undefined, "place"));
    this.top = plot.appendChild(element("canvas", undefined, "top"));
    this.note = plot.parentNode.querySelector(".outliers");
    plot.addEventListener("pointermove", (event) => this.move(event));
    plot.addEventListener("pointerleave", () => this.leave());
    plot.addEventListener("click", () => this.found && toggle(this.found.runs));
    plot.addEventListener("dblclick", () => !this.x && zoom(null));
    charts.push(this);
    watcher.observe(plot);
    resizer.observe(plot);
  }

  get time() {
    return (this.x || state.axis) === "time";
  }

  get base() {
    return this.uplot.ctx.canvas;
  }

  change() {
    this.dirty = true;
    if (this.near || state.printing) this.draw();
    else drawWhenIdle();
  }

  // The curves of single runs, smoothed where that is wanted.
  lines() {
    const lines = [];
    for (const { run, xs, ys, ...more } of this.series()) {
      if (state.hidden.has(run)) continue;
      const shown = state.log && !this.x ? ys.map((y) => (y > 0 ? y : null)) : ys;
      lines.push({ run, runs: [run], xs, raw: shown, ys: shown, colour: report.colours[run], ...more });
    }
    if (state.smoothing && !this.x) {
      const [low, high] = extent(lines.map(({ xs }) => xs));
      for (const line of lines) line.ys = smooth(line.xs, line.raw, state.smoothing, high - low);
    }
    return lines;
  }

  // What is drawn of them: all, the best ones, or one for each group.
  chosen(lines, left, right) {
    if (this.dots || state.show === "all") return lines;
    if (state.show === "best") return lines.filter(({ run }) => state.best.has(run));
    return state.groups.flatMap(({ label, runs }, i) => {
      const some = lines.filter(({ run }) => state.groupOf.get(run) === i);
      return some.length ? [{ run: null, runs, label: `${label} (${some.length})`, group: i, ...meanOf(some, left, right) }] : [];
    });
  }

  draw() {
    const width = this.plot.clientWidth;
    if (!width) return;
    const height = this.plot.classList.contains("large") ? 2 * HEIGHT : HEIGHT;
    this.dirty = false;
    this.all = this.lines();
    const whole = extent(this.all.map(({ xs }) => xs));
    this.drawn = this.chosen(this.all, ...whole);
    const log = state.log && !this.x;
    let [left, right] = state.zoom && !this.x ? state.zoom : whole;
    if (this.x && !this.time) [left, right] = [left - (right - left) * 0.03, right + (right - left) * 0.03];
    if (!(left < right)) [left, right] = left === right ? [left - 1, right + 1] : [0, 1];
    const bands = this.drawn.filter(({ low }) => low).flatMap(({ xs, low, high }) => [{ xs, ys: low }, { xs, ys: high }]);
    let [low, high] = robustExtent([...this.drawn, ...bands], left, right);
    if (!(low <= high)) [low, high] = log ? [1, 10] : [0, 1];
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - (Math.abs(low) * 0.1 || 1), high + (Math.abs(low) * 0.1 || 1)];
    const room = log ? 0 : (high - low) * 0.04;
    this.range = { x: [left, right], y: [low - room, high + room] };
    this.size = [width, height];
    this.uplot?.destroy();
    this.uplot = new uPlot(this.options(width, height, log), this.columns(), this.place);
    // Else it would draw later, and nothing could be asked of it now.
    this.uplot.batch(() => {});
    // Asked once: for each of 50,000 points it took longer than to draw them.
    const { offsetLeft, offsetTop } = this.uplot.over;
    this.across = (x) => this.uplot.valToPos(x, "x") + offsetLeft;
    this.up = (y) => this.uplot.valToPos(y, "y") + offsetTop;
    this.tellOutliers();
    this.emphasise();
  }

  // One of uPlot's series for each colour: a thousand curves are a few strokes.
  layers() {
    const faint = this.drawn.length > MANY ? 0.55 : 0.95;
    const { runs, strong } = colours();
    const grouped = groupColours(state.groups);
    const colourOf = ({ run, group, colour }) => (group !== undefined ? grouped[group] : run === null ? strong : runs[colour]);
    const layers = [];
    const add = (lines, what, width, alpha) => {
      for (const colour of new Set(lines.map(colourOf))) {
        layers.push({ lines: lines.filter((line) => colourOf(line) === colour), what, width, alpha, colour });
      }
    };
    add(this.drawn.filter(({ low }) => low), "band", 0, 0.16);
    if (state.smoothing && !this.x && state.show !== "mean" && this.drawn.length <= MANY) add(this.drawn, "raw", 1, 0.22);
    // A line through the dots of many runs stands out from them.
    const through = this.drawn.filter(({ run }) => this.dots && run === null);
    add(this.drawn.filter((line) => !through.includes(line)), "ys", 1.6, faint);
    add(through, "ys", 2, 1);
    // uPlot wants one at least, also where a filter leaves none.
    return layers.length ? layers : [{ lines: [], what: "ys", width: 1, alpha: 1, colour: strong }];
  }

  columns() {
    const frame = [this.range.x, this.range.y];
    return [null, ...this.painted.map(() => frame)];
  }

  options(width, height, log) {
    const { ink, line } = colours();
    this.painted = this.layers();
    const axis = { stroke: ink, font: FONT, ticks: { show: false } };
    const write = this.time ? duration : short;
    return {
      mode: 2,
      width,
      height,
      pxAlign: false,
      pxRatio: state.printing ? 3 : Math.max(window.devicePixelRatio || 1, 1),
      padding: [8, 12, 0, 0],
      legend: { show: false },
      cursor: { x: false, y: false, points: { show: false }, drag: { x: !this.x, y: false, setScale: false, dist: 6 } },
      scales: {
        x: { time: false, range: () => this.range.x },
        y: { time: false, distr: log ? 3 : 1, range: () => this.range.y },
      },
      axes: [
        {
          ...axis, scale: "x", size: 20, gap: 4, space: 90, label: this.axisName(), labelSize: 14, labelGap: 0, labelFont: FONT, grid: { show: false },
          ...(this.time ? { incrs: TIMES } : this.x ? {} : { incrs: WHOLE }),
          values: (_, ticks) => ticks.map((tick) => write(tick)),
        },
        { ...axis, scale: "y", side: 3, size: 48, gap: 5, space: 34, grid: { stroke: line, width: 1 }, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : short(tick))) },
      ],
      series: [null, ...this.painted.map((layer) => ({
        facets: [{ scale: "x", auto: true }, { scale: "y", auto: true }],
        stroke: layer.what === "band" ? undefined : layer.colour,
        fill: layer.what === "band" ? layer.colour : undefined,
        width: layer.width,
        alpha: layer.alpha,
        points: { show: false },
        paths: (u, index) => this.paths(u, index, layer),
      }))],
      hooks: { draw: [(u) => this.marks(u)], setSelect: [(u) => this.selected(u)] },
    };
  }

  axisName() {
    return this.time ? "time of training" : this.x || "step";
  }

  paths(u, index, { lines, what }) {
    return uPlot.orient(u, index, (series, xs, ys, across, up, toX, toY, left, top, width, height) => {
      const path = new Path2D();
      const [x, y] = [(value) => toX(value, across, width, left), (value) => toY(value, up, height, top)];
      for (const line of lines) what === "band" ? traceBand(path, line, x, y) : trace(path, line.xs, line[what], x, y, u.pxRatio);
      return { [what === "band" ? "fill" : "stroke"]: path, flags: 0 };
    });
  }

  // Where values stop being numbers, and where a curve leaves an axis that is cut for the others.
  marks(u) {
    const { bad, strong } = colours();
    const [context, ratio] = [u.ctx, u.pxRatio];
    const [top, bottom] = [u.bbox.top, u.bbox.top + u.bbox.height];
    context.save();
    context.lineWidth = 2 * ratio;
    context.strokeStyle = bad;
    for (const { xs, ys, lost } of this.drawn) {
      if (!lost) continue;
      const last = ys.findLastIndex((y) => y !== null);
      const x = u.valToPos(last < 0 ? xs[0] : xs[last], "x", true);
      const y = Math.min(Math.max(last < 0 ? bottom : u.valToPos(ys[last], "y", true), top), bottom);
      const arm = 4 * ratio;
      context.beginPath();
      context.moveTo(x - arm, y - arm);
      context.lineTo(x + arm, y + arm);
      context.moveTo(x - arm, y + arm);
      context.lineTo(x + arm, y - arm);
      context.stroke();
    }
    context.fillStyle = strong;
    this.outliers = [];
    for (const line of this.drawn) {
      const beyond = line.ys.findIndex((y, i) => y !== null && (y > this.range.y[1] || y < this.range.y[0]) && line.xs[i] >= this.range.x[0] && line.xs[i] <= this.range.x[1]);
      if (beyond < 0) continue;
      this.outliers.push(line);
      const upward = line.ys[beyond] > this.range.y[1];
      const x = u.valToPos(line.xs[beyond], "x", true);
      const [tip, foot] = upward ? [top, top + 7 * ratio] : [bottom, bottom - 7 * ratio];
      context.beginPath();
      context.moveTo(x, tip);
      context.lineTo(x - 4 * ratio, foot);
      context.lineTo(x + 4 * ratio, foot);
      context.fill();
    }
    context.restore();
  }

  tellOutliers() {
    if (!this.note) return;
    const count = this.outliers?.length ?? 0;
    const [low, high] = extent((this.outliers ?? []).map(({ ys }) => ys));
    const far = high > this.range.y[1] ? high : low;
    const what = state.show === "mean" && !this.x ? "group" : "run";
    this.note.textContent = count ? `${count} ${what}${count > 1 ? "s" : ""} beyond the axis, as far as ${number(far, 3)}` : "";
  }

  selected(u) {
    const { left, width } = u.select;
    if (width < 6) return;
    const [from, to] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    zoom(this.time ? [from, to] : [Math.floor(from), Math.ceil(to)]);
  }

  // The runs that stand out, and the point under the pointer.
  emphasise() {
    if (this.dirty || !this.size) return;
    const runs = raised();
    const context = sharpen(this.top, ...this.size);
    this.base.classList.toggle("dim", runs.length > 0);
    const { left, top, width, height } = this.uplot.bbox;
    const ratio = this.uplot.pxRatio;
    context.save();
    context.beginPath();
    context.rect(left / ratio - 3, top / ratio - 3, width / ratio + 6, height / ratio + 6);
    context.clip();
    const wanted = new Set(runs);
    const some = this.all.filter(({ run }) => wanted.has(run));
    context.lineWidth = some.length > 20 ? 1.2 : 2.4;
    // One stroke for each colour: a group may be all of a thousand runs.
    const paths = new Map();
    for (const line of some) {
      if (!paths.has(line.colour)) paths.set(line.colour, new Path2D());
      trace(paths.get(line.colour), line.xs, line.ys, this.across, this.up);
    }
    for (const [colour, path] of paths) {
      context.strokeStyle = colours().runs[colour];
      context.stroke(path);
    }
    context.restore();
    if (!this.found) return;
    context.beginPath();
    context.arc(this.found.left, this.found.top, 4.5, 0, 7);
    context.fillStyle = this.found.run === null ? colours().strong : colours().runs[report.colours[this.found.run]];
    context.strokeStyle = colours().page;
    context.lineWidth = 2;
    context.fill();
    context.stroke();
  }

  move(event) {
    if (this.dirty || !this.uplot) return;
    const frame = this.plot.getBoundingClientRect();
    const found = this.nearest(event.clientX - frame.left, event.clientY - frame.top);
    this.found = found;
    if (!found) return this.leave();
    const where = this.time ? `after ${duration(found.x)}: ` : `${this.x || "step"} ${number(found.x)}: `;
    showTip(frame.left + found.left, frame.top + found.top, found.label ?? report.runs[found.run], where, number(found.y));
    state.pointed = found.run;
    notify("highlight");
  }

  leave() {
    this.found = null;
    tip.hidden = true;
    state.pointed = null;
    notify("highlight");
  }

  // The point next to (x, y), in pixels of the plot, no farther than 40 of them.
  nearest(x, y) {
    let best = null;
    let least = 40 * 40;
    const inside = (pixel) => this.uplot.posToVal(pixel - this.uplot.over.offsetLeft, "x");
    const [from, to] = [inside(x - 40), inside(x + 40)];
    const fromPressed = state.pressed.size > 0;
    for (const { run, runs, label, xs, ys } of fromPressed ? this.all : this.drawn) {
      if (fromPressed && !state.pressed.has(run)) continue;
      for (let i = 0; i < xs.length; i++) {
        if (ys[i] === null || xs[i] < from || xs[i] > to) continue;
        const [left, top] = [this.across(xs[i]), this.up(ys[i])];
        const distance = (left - x) ** 2 + (top - y) ** 2;
        if (distance < least) {
          least = distance;
          best = { run, runs, label, left, top, x: xs[i], y: ys[i] };
        }
      }
    }
    return best;
  }
}

function trace(path, xs, ys, across, up, ratio = 1) {
  for (let i = 0, open = false; i < xs.length; i++) {
    if (ys[i] === null) {
      open = false;
      continue;
    }
    const [x, y] = [across(xs[i]), up(ys[i])];
    if (open) path.lineTo(x, y);
    else {
      // A value with no neighbour is a dot: two rings that fill it.
      for (const radius of (ys[i + 1] ?? null) === null ? [0.9 * ratio, 2.2 * ratio] : []) {
        path.moveTo(x + radius, y);
        path.arc(x, y, radius, 0, 7);
      }
      path.moveTo(x, y);
    }
    open = true;
  }
}

function traceBand(path, { xs, low, high }, across, up) {
  const there = xs.map((_, i) => i).filter((i) => low[i] !== null);
  there.forEach((i, place) => (place ? path.lineTo(across(xs[i]), up(high[i])) : path.moveTo(across(xs[i]), up(high[i]))));
  for (const i of there.reverse()) path.lineTo(across(xs[i]), up(low[i]));
}

function extent(lists) {
  let [low, high] = [Infinity, -Infinity];
  for (const list of lists) {
    for (const value of list) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [low, high];
}

// W&B's time-weighted moving average: how far apart points lie counts, so that thinned curves look like whole ones.
function smooth(xs, ys, weight, range) {
  let [mean, norm, before] = [0, 0, null];
  return ys.map((y, i) => {
    if (y === null) return null;
    const kept = before === null ? 0 : weight ** Math.max(((xs[i] - before) / (range || 1)) * 100, 1e-6);
    before = xs[i];
    mean = mean * kept + y * (1 - kept || 1);
    norm = norm * kept + (1 - kept || 1);
    return mean / norm;
  });
}

// What is far from the window is drawn when there is nothing else to do, or when it comes near.
function drawWhenIdle() {
  idle ??= requestIdleCallback(() => {
    idle = null;
    const waiting = charts.filter((chart) => chart.dirty && chart.plot.clientWidth);
    waiting[0]?.draw();
    if (waiting.length > 1) drawWhenIdle();
    // A busy machine may never call a page idle.
  }, { timeout: 300 });
}
let idle = null;

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const chart = charts.find(({ plot }) => plot === target);
    chart.near = isIntersecting;
    if (!isIntersecting) continue;
    // Other runs may stand out than when it was last seen.
    chart.dirty ? chart.draw() : chart.emphasise();
  }
}, { rootMargin: "300px" });

const resizer = new ResizeObserver((entries) => {
  if (state.printing) return;
  for (const { target } of entries) {
    const chart = charts.find(({ plot }) => plot === target);
    // A chart sets its own height: only another width draws it again.
    if (!chart.size || chart.size[0] !== target.clientWidth) chart.change();
  }
});

listeners.highlight.push(() => charts.forEach((chart) => chart.near && chart.emphasise()));
listeners.redraw.push(() => charts.forEach((chart) => chart.change()));
darkScheme.addEventListener("change", () => notify("redraw"));

function print(printing) {
  if (state.printing === printing) return;
  state.printing = printing;
  notify("redraw");
}
matchMedia("print").addEventListener("change", ({ matches }) => print(matches));
addEventListener("beforeprint", () => print(true));
addEventListener("afterprint", () => print(false));
