"use strict";

const report = JSON.parse(document.getElementById("curves").textContent);

// What is looked at: pressed runs and the one under the pointer stand out; hidden ones are filtered out.
const state = {
  pressed: new Set(), pointed: null, words: [], kind: "", brushes: new Map(), hidden: new Set(),
  axis: "step", smoothing: 0, log: false, metric: "", printing: false,
  // Which curves are drawn; the groups of their means, and each run's; steps or seconds that are zoomed to.
  show: "all", groups: [], groupOf: new Map(), best: new Set(), zoom: null, robust: true,
};

const darkScheme = matchMedia("(prefers-color-scheme: dark)");
const listeners = { highlight: [], redraw: [] };

// Nothing is drawn before all is chosen that decides what is drawn.
let ready = false;

function notify(what) {
  if (!ready) return;
  for (const listener of listeners[what]) listener();
}

function colours() {
  return darkScheme.matches && !state.printing
    ? { runs: report.dark, ramp: report.darkRamp, words: report.darkWords, ink: "#9aa1ad", line: "#2d3139", strong: "#e6e7ea", page: "#16181d", bad: "#ff8a80" }
    : { runs: report.light, ramp: report.lightRamp, words: report.lightWords, ink: "#5c6370", line: "#e3e5e9", strong: "#1c1f26", page: "#ffffff", bad: "#b3261e" };
}

function raised() {
  const runs = new Set(state.pressed);
  if (state.pointed !== null) runs.add(state.pointed);
  return [...runs].filter((run) => !state.hidden.has(run));
}

function toggle(runs) {
  const all = runs.every((run) => state.pressed.has(run));
  for (const run of runs) all ? state.pressed.delete(run) : state.pressed.add(run);
  notify("highlight");
}

function point(run) {
  if (run === state.pointed) return;
  state.pointed = run;
  notify("highlight");
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function number(value, digits = 6) {
  const size = Math.abs(value);
  if (size && (size < 1e-4 || size >= 1e7)) return value.toExponential(Math.min(digits, 3) - 1).replace("-", "\u2212");
  const text = value.toLocaleString("en", { maximumSignificantDigits: digits, useGrouping: false });
  return text.replace("-", "\u2212");
}

function duration(seconds) {
  if (seconds < 60) return `${number(seconds, 3)} s`;
  if (seconds < 3600) return `${number(seconds / 60, 3)} min`;
  return `${number(seconds / 3600, 3)} h`;
}

const tip = document.getElementById("tip");

// Beside the point (x, y) of the window.
function showTip(x, y, title, text, value) {
  const line = element("span", text);
  if (value) line.append(element("b", value));
  tip.replaceChildren(element("strong", title), line);
  tip.hidden = false;
  const onLeft = x + 16 + tip.offsetWidth > document.documentElement.clientWidth;
  tip.style.left = `${window.scrollX + (onLeft ? Math.max(x - 16 - tip.offsetWidth, 0) : x + 16)}px`;
  tip.style.top = `${window.scrollY + y - tip.offsetHeight / 2}px`;
}

// A canvas that is as sharp as the screen, or sharper on paper; returns its context, scaled to CSS pixels.
function sharpen(canvas, width, height) {
  const ratio = state.printing ? 3 : Math.max(window.devicePixelRatio || 1, 1);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = "11px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Arial, sans-serif";
  context.lineJoin = "round";
  return context;
}
