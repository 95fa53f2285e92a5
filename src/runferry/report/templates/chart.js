// Line charts on three canvases: axes, all curves, and those that stand out, so that pointing redraws few.

const HEIGHT = 220;
const MARGIN = { top: 8, right: 12, bottom: 34, left: 48 };
const charts = [];

class Chart {
  // `series(state)` gives [{run, xs, ys}]; `x` is "step" or "time", or follows the page's switch where it is "".
  constructor(plot, series, x = "") {
    Object.assign(this, { plot, series, x, dirty: true, near: false, found: null });
    this.ground = plot.appendChild(element("canvas", undefined, "ground"));
    this.base = plot.appendChild(element("canvas", undefined, "base"));
    this.top = plot.appendChild(element("canvas", undefined, "top"));
    plot.addEventListener("pointermove", (event) => this.move(event));
    plot.addEventListener("pointerleave", () => this.leave());
    plot.addEventListener("click", () => this.found && toggle([this.found.run]));
    charts.push(this);
    watcher.observe(plot);
    resizer.observe(plot);
  }

  get time() {
    return (this.x || state.axis) === "time";
  }

  change() {
    this.dirty = true;
    if (this.near || state.printing) this.draw();
    else drawWhenIdle();
  }

  lines() {
    const lines = [];
    for (const { run, xs, ys } of this.series()) {
      if (state.hidden.has(run)) continue;
      const shown = state.log && !this.x ? ys.map((y) => (y > 0 ? y : null)) : ys;
      lines.push({ run, xs, raw: shown, ys: shown });
    }
    if (state.smoothing && !this.x) {
      const [low, high] = extent(lines.map(({ xs }) => xs));
      for (const line of lines) line.ys = smooth(line.xs, line.raw, state.smoothing, high - low);
    }
    return lines;
  }

  draw() {
    const width = this.plot.clientWidth;
    if (!width) return;
    const height = this.plot.classList.contains("large") ? 2 * HEIGHT : HEIGHT;
    this.dirty = false;
    this.drawn = this.lines();
    const log = state.log && !this.x;
    const [left, right] = extent(this.drawn.map(({ xs }) => xs));
    const [low, high] = extent(this.drawn.map(({ ys }) => ys));
    const room = log ? 0 : (high - low) * 0.04;
    this.across = makeScale(left, right, MARGIN.left, width - MARGIN.right, { time: this.time });
    this.up = makeScale(low - room, high + room, height - MARGIN.bottom, MARGIN.top, { log });
    this.size = [width, height];
    this.axes(sharpen(this.ground, width, height), width, height);
    const context = sharpen(this.base, width, height);
    const { runs } = colours();
    const faint = this.drawn.length > 60 ? 0.55 : 0.95;
    if (state.smoothing && !this.x && this.drawn.length <= 60) this.strokes(context, this.drawn, runs, 1, 0.22, "raw");
    this.strokes(context, this.drawn, runs, 1.6, faint, "ys");
    this.emphasise();
  }

  // One path for each colour: a thousand curves are a few strokes.
  strokes(context, lines, palette, width, opacity, what) {
    const byColour = new Map();
    for (const line of lines) {
      const colour = palette[report.colours[line.run]];
      if (!byColour.has(colour)) byColour.set(colour, []);
      byColour.get(colour).push(line);
    }
    context.save();
    // What is not smoothed may reach beyond the scale of what is.
    context.beginPath();
    context.rect(MARGIN.left - 3, MARGIN.top - 3, this.size[0] - MARGIN.left, this.size[1] - MARGIN.top - MARGIN.bottom + 6);
    context.clip();
    context.globalAlpha = opacity;
    context.lineWidth = width;
    for (const [colour, some] of byColour) {
      context.strokeStyle = context.fillStyle = colour;
      context.beginPath();
      for (const line of some) this.trace(context, line.xs, line[what]);
      context.stroke();
    }
    context.restore();
  }

  trace(context, xs, ys) {
    for (let i = 0, open = false; i < xs.length; i++) {
      if (ys[i] === null) {
        open = false;
        continue;
      }
      const [x, y] = [this.across(xs[i]), this.up(ys[i])];
      if (open) context.lineTo(x, y);
      else {
        context.moveTo(x, y);
        // A value with no neighbour is a dot.
        if ((ys[i + 1] ?? null) === null) context.fillRect(x - 2.5, y - 2.5, 5, 5);
      }
      open = true;
    }
  }

  axes(context, width, height) {
    const { ink, line } = colours();
    context.fillStyle = ink;
    context.strokeStyle = line;
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of this.up.ticks(height / 44)) {
      const y = Math.round(this.up(tick)) + 0.5;
      context.beginPath();
      context.moveTo(MARGIN.left, y);
      context.lineTo(width - MARGIN.right, y);
      context.stroke();
      context.fillText(short(tick), MARGIN.left - 8, y);
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    const write = this.time ? duration : short;
    for (const tick of this.across.ticks(Math.max(Math.floor(width / 90), 2))) {
      if (!this.time && tick !== Math.round(tick)) continue;
      context.fillText(write(tick), Math.min(this.across(tick), width - 16), height - MARGIN.bottom + 7);
    }
    context.fillText(this.time ? "time of training" : "step", (MARGIN.left + width - MARGIN.right) / 2, height - 12);
  }

  // The runs that stand out, and the point under the pointer.
  emphasise() {
    if (this.dirty || !this.size) return;
    const runs = raised();
    const context = sharpen(this.top, ...this.size);
    this.base.classList.toggle("dim", runs.length > 0);
    const some = this.drawn.filter(({ run }) => runs.includes(run));
    this.strokes(context, some, colours().runs, 2.4, 1, "ys");
    if (this.found && runs.includes(this.found.run)) {
      context.beginPath();
      context.arc(this.found.left, this.found.top, 4.5, 0, 7);
      context.fillStyle = colours().runs[report.colours[this.found.run]];
      context.strokeStyle = colours().page;
      context.lineWidth = 2;
      context.fill();
      context.stroke();
    }
  }

  move(event) {
    if (this.dirty) return;
    const frame = this.plot.getBoundingClientRect();
    const found = this.nearest(event.clientX - frame.left, event.clientY - frame.top);
    this.found = found;
    if (!found) return this.leave();
    const where = this.time ? `after ${duration(found.x)}: ` : `step ${found.x}: `;
    showTip(frame.left + found.left, frame.top + found.top, report.runs[found.run], where, number(found.y));
    state.pointed = found.run;
    notify("highlight");
  }

  leave() {
    this.found = null;
    tip.hidden = true;
    point(null);
  }

  // The point next to (x, y), in pixels of the plot, no farther than 40 of them.
  nearest(x, y) {
    let best = null;
    let least = 40 * 40;
    const [from, to] = [this.across.invert(x - 40), this.across.invert(x + 40)];
    for (const { run, xs, ys } of this.drawn) {
      if (state.pressed.size && !state.pressed.has(run)) continue;
      for (let i = 0; i < xs.length; i++) {
        if (ys[i] === null || xs[i] < from || xs[i] > to) continue;
        const [left, top] = [this.across(xs[i]), this.up(ys[i])];
        const distance = (left - x) ** 2 + (top - y) ** 2;
        if (distance < least) {
          least = distance;
          best = { run, left, top, x: xs[i], y: ys[i] };
        }
      }
    }
    return best;
  }
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
  });
}
let idle = null;

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const chart = charts.find(({ plot }) => plot === target);
    chart.near = isIntersecting;
    if (isIntersecting && chart.dirty) chart.draw();
  }
}, { rootMargin: "300px" });

const resizer = new ResizeObserver((entries) => {
  if (state.printing) return;
  for (const { target } of entries) charts.find(({ plot }) => plot === target).change();
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
