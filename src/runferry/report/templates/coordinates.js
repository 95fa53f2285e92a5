// Parallel coordinates of a sweep: a line for each run through its parameters to what came out of it.

class Coordinates {
  constructor(plot, outcome) {
    Object.assign(this, { plot, outcome, near: false, dirty: true, x: "parameters" });
    this.base = plot.appendChild(element("canvas", undefined, "base"));
    this.top = plot.appendChild(element("canvas", undefined, "top"));
    plot.addEventListener("pointerdown", (event) => this.press(event));
    plot.addEventListener("pointermove", (event) => this.move(event));
    plot.addEventListener("pointerup", (event) => this.release(event));
    plot.addEventListener("pointerleave", () => this.leave());
    charts.push(this);
    watcher.observe(plot);
    resizer.observe(plot);
  }

  change() {
    this.dirty = true;
    if (this.near || state.printing) this.draw();
    else drawWhenIdle();
  }

  // Where the window is too narrow for axes side by side, they lie below each other: `along` is across the axes, and
  // `deep` is the length of one.
  prepare() {
    const given = [...report.parameters, { name: this.outcome, values: report.finals[this.outcome] }];
    const width = this.plot.clientWidth;
    this.turned = width < given.length * 96;
    const height = this.turned ? given.length * 76 : 320;
    this.size = [width, height];
    const [along, deep] = this.turned ? [height, width] : [width, height];
    const [first, last] = this.turned ? [12, 16] : [52, 24];
    const [left, right] = this.turned ? [36, along - 36] : [64, along - 64];
    this.ends = [first, deep - last];
    this.axes = given.map(({ name, values }, i) => {
      const x = left + ((right - left) * i) / Math.max(given.length - 1, 1);
      const present = values.filter((value) => value !== null);
      const numeric = present.length > 0 && present.every((value) => typeof value === "number");
      let [scale, names] = [null, null];
      if (numeric) {
        const [low, high] = extent([present]);
        scale = makeScale(low, high, ...(this.turned ? this.ends : [...this.ends].reverse()), { log: low > 0 && high / low >= 50 });
      } else {
        names = [...new Set(present)];
        const room = deep - first - last;
        scale = (value) => first + (names.length < 2 ? room / 2 : (room * names.indexOf(value)) / (names.length - 1));
      }
      return { name, x, values, scale, names };
    });
  }

  // From the place across the axes and along one to the plot, or back.
  turn([x, y]) {
    return this.turned ? [y, x] : [x, y];
  }

  points(run) {
    return this.axes.flatMap(({ x, values, scale }) => (values[run] === null ? [] : [[x, scale(values[run])]]));
  }

  draw() {
    if (!this.plot.clientWidth) return;
    this.prepare();
    this.dirty = false;
    this.plot.style.touchAction = this.turned ? "pan-y" : "none";
    const context = sharpen(this.base, ...this.size);
    const { ramp } = colours();
    const { values } = this.axes.at(-1);
    const order = values.map((value, run) => [value, run]).filter(([value]) => value !== null).sort(([a], [b]) => a - b);
    this.rank = new Map(order.map(([, run], i) => [run, i / Math.max(order.length - 1, 1)]));
    context.globalAlpha = order.length > 60 ? 0.45 : 0.9;
    context.lineWidth = 1.4;
    this.runs = order.map(([, run]) => run).filter((run) => !state.hidden.has(run));
    for (const run of this.runs) this.stroke(context, run, ramp);
    this.emphasise();
  }

  labels(context) {
    const { ink, strong, ramp, page } = colours();
    const [low, high] = this.ends;
    for (const axis of this.axes) {
      context.strokeStyle = ink;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(...this.turn([axis.x, low]));
      context.lineTo(...this.turn([axis.x, high]));
      context.stroke();
      context.fillStyle = strong;
      context.font = context.font.replace(/^\d+px/, "12px");
      context.textAlign = this.turned ? "left" : "center";
      if (this.turned) {
        const name = cut(context, axis.name, high - low);
        context.fillStyle = page;
        context.globalAlpha = 0.85;
        context.fillRect(low - 3, axis.x - 28, context.measureText(name).width + 6, 17);
        context.globalAlpha = 1;
        context.fillStyle = strong;
        context.fillText(name, low, axis.x - 16);
      }
      else context.fillText(cut(context, axis.name, 92), axis.x, 18);
      context.font = context.font.replace(/^\d+px/, "11px");
      context.textAlign = "center";
      const most = this.turned ? Math.floor((high - low) / 70) : 12;
      const ticks = axis.names ? axis.names.slice(0, most) : axis.scale.ticks(this.turned ? 4 : 5);
      for (const tick of ticks) {
        const text = axis.names ? cut(context, String(tick), this.turned ? 60 : 80) : short(tick);
        const wide = context.measureText(text).width;
        let [x, y] = this.turn([axis.x, axis.scale(tick)]);
        if (this.turned) [x, y] = [Math.min(Math.max(x, wide / 2 + 2), this.size[0] - wide / 2 - 2), y + 14];
        // On the page's own colour, so that lines behind do not make it hard to read.
        context.fillStyle = page;
        context.globalAlpha = 0.85;
        context.fillRect(x - wide / 2 - 3, y - 8, wide + 6, 15);
        context.globalAlpha = 1;
        context.fillStyle = ink;
        context.fillText(text, x, y + 4);
      }
      const brush = state.brushes.get(axis.name);
      if (brush) {
        context.fillStyle = ramp[4];
        context.globalAlpha = 0.25;
        const [x, y] = this.turn([axis.x - 8, brush.top]);
        const [wide, tall] = this.turn([16, brush.bottom - brush.top]);
        context.fillRect(x, y, wide, tall);
        context.globalAlpha = 1;
      }
    }
  }

  stroke(context, run, ramp) {
    context.strokeStyle = ramp[Math.round((this.rank.get(run) ?? 0) * (ramp.length - 1))];
    context.beginPath();
    for (const point of this.points(run)) context.lineTo(...this.turn(point));
    context.stroke();
  }

  emphasise() {
    if (this.dirty || !this.size) return;
    const runs = raised().filter((run) => this.rank.has(run));
    const context = sharpen(this.top, ...this.size);
    this.base.classList.toggle("dim", runs.length > 0);
    context.lineWidth = 2.6;
    for (const run of runs) this.stroke(context, run, colours().ramp);
    this.labels(context);
  }

  at(event) {
    const frame = this.plot.getBoundingClientRect();
    return this.turn([event.clientX - frame.left, event.clientY - frame.top]);
  }

  press(event) {
    const [x, y] = this.at(event);
    const axis = this.axes.find((each) => Math.abs(each.x - x) < 14);
    this.start = axis ? { axis, y } : null;
    if (axis) this.plot.setPointerCapture(event.pointerId);
  }

  // Dragging along an axis keeps the runs whose lines cross it there.
  brush(y) {
    const { axis, y: from } = this.start;
    state.brushes.set(axis.name, { top: Math.min(from, y), bottom: Math.max(from, y), axis });
    applyFilters();
  }

  release(event) {
    const [x, y] = this.at(event);
    if (this.start && Math.abs(this.start.y - y) < 4) {
      state.brushes.delete(this.start.axis.name);
      applyFilters();
    } else if (!this.start) {
      const run = this.nearest(x, y);
      if (run !== null) toggle([run]);
    }
    this.start = null;
  }

  move(event) {
    const [x, y] = this.at(event);
    if (this.start) {
      if (Math.abs(this.start.y - y) >= 4) this.brush(y);
      return;
    }
    const run = this.nearest(x, y);
    if (run === null) return this.leave();
    const value = this.axes.at(-1).values[run];
    showTip(event.clientX, event.clientY, report.runs[run], `${this.outcome}: `, number(value));
    point(run);
  }

  leave() {
    tip.hidden = true;
    point(null);
  }

  // The run whose line passes next to (x, y), no farther than 8 pixels.
  nearest(x, y) {
    let [best, least] = [null, 8];
    for (const run of this.runs) {
      const points = this.points(run);
      for (let i = 1; i < points.length; i++) {
        const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
        if (x < x0 || x > x1) continue;
        const distance = Math.abs(y0 + ((y1 - y0) * (x - x0)) / (x1 - x0) - y);
        if (distance < least) [best, least] = [run, distance];
      }
    }
    return best;
  }
}

function crosses(run, { top, bottom, axis }) {
  const value = axis.values[run];
  if (value === null) return false;
  const y = axis.scale(value);
  return y >= top && y <= bottom;
}

function cut(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let kept = text;
  while (kept && context.measureText(`${kept}\u2026`).width > width) kept = kept.slice(0, -1);
  return `${kept}\u2026`;
}
