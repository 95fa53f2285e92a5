"use strict";
(() => {
  const { runs, jobs, states, signs } = JSON.parse(document.getElementById("data").textContent);
  const classes = states.map((state) => state.replace(" ", "-"));
  const CHUNK = 200;

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // The edges of the graph follow the boxes, which the browser has laid out.
  const graph = document.querySelector(".graph");
  const edges = graph.querySelector(".edges");
  const draw = () => {
    const origin = graph.getBoundingClientRect();
    const join = (from, to) => {
      const a = from.getBoundingClientRect();
      const b = to.getBoundingClientRect();
      const [x1, y1] = [a.right - origin.left, a.top + a.height / 2 - origin.top];
      const [x2, y2] = [b.left - origin.left, b.top + b.height / 2 - origin.top];
      const middle = (x1 + x2) / 2;
      return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
    };
    const report = graph.querySelector(".report");
    const lines = [];
    for (const group of graph.querySelectorAll(".group")) {
      for (const row of group.querySelectorAll(".row")) {
        const [experiment, job, sync] = [".experiment", ".jobs", ".sync"].map((name) => row.querySelector(name));
        lines.push(join(group.querySelector(".environment"), experiment), join(experiment, job), join(job, sync), join(sync, report));
      }
    }
    edges.replaceChildren(...lines.map((line) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", line);
      return path;
    }));
  };
  new ResizeObserver(draw).observe(graph);
  addEventListener("beforeprint", draw);

  // The runs of an experiment are listed when it is opened, as many at a time as are looked at.
  const open = (details) => {
    const name = details.dataset.experiment;
    const all = runs[name];
    let [wanted, words] = [null, ""];
    const body = make("tbody");
    const list = make(
      "div",
      { className: "list", tabIndex: 0, role: "region", ariaLabel: `Runs of ${name}` },
      make("table", {}, make("thead", {}, make("tr", {}, ...["Run", "State", "Job"].map((text) => make("th", { scope: "col", textContent: text })))), body),
    );
    const count = make("span", { className: "quiet", role: "status" });
    let [shown, next] = [all, 0];
    const row = ([id, label, state, job, why]) => {
      const sign = make("i", { textContent: signs[state], ariaHidden: "true" });
      const words = why ? `${states[state]} (${why})` : states[state];
      return make(
        "tr",
        {},
        make("th", { scope: "row" }, label, " ", make("code", { textContent: id })),
        make("td", {}, make("span", { className: `state ${classes[state]}` }, sign, words)),
        make("td", { className: "number", textContent: job === null ? "\u2013" : `${job + 1}: ${jobs[name][job]}` }),
      );
    };
    const more = () => {
      body.append(...shown.slice(next, next + CHUNK).map(row));
      next += CHUNK;
    };
    const fill = () => {
      shown = all.filter(([id, label, state]) => (wanted === null || state === wanted) && `${label} ${id}`.toLowerCase().includes(words));
      next = 0;
      body.replaceChildren();
      list.scrollTop = 0;
      more();
      count.textContent = `${shown.length.toLocaleString("en")} of ${all.length.toLocaleString("en")}`;
    };
    list.addEventListener("scroll", () => {
      while (next < shown.length && list.scrollTop + list.clientHeight > list.scrollHeight - 600) more();
    });
    addEventListener("beforeprint", () => {
      while (details.open && next < shown.length) more();
    });
    const buttons = states.flatMap((state, number) => {
      const found = all.filter((run) => run[2] === number).length;
      if (!found) return [];
      const button = make("button", { type: "button", ariaPressed: "false", className: classes[number], textContent: `${signs[number]} ${found.toLocaleString("en")} ${state}` });
      button.addEventListener("click", () => {
        wanted = wanted === number ? null : number;
        for (const other of buttons) other.ariaPressed = String(other === button && wanted !== null);
        fill();
      });
      return [button];
    });
    const search = make("input", { type: "search", placeholder: "Find a run", ariaLabel: `Find a run of ${name}` });
    search.addEventListener("input", () => {
      words = search.value.toLowerCase();
      fill();
    });
    details.append(make("div", { className: "tools" }, ...buttons, search, count), list);
    fill();
  };
  for (const details of document.querySelectorAll(".runs")) {
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) open(details);
    });
  }
})();
