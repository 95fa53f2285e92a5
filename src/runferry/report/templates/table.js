// The tables: a thousand rows are there, but no more are laid out than were scrolled to; and sorting.

const FIRST_ROWS = 100;

class LongTable {
  constructor(body) {
    Object.assign(this, { body, most: FIRST_ROWS });
    const frame = body.closest(".frame");
    this.more = element("button", undefined, "more-rows");
    this.more.type = "button";
    this.more.addEventListener("click", () => this.grow(Infinity));
    frame.append(this.more);
    frame.addEventListener("scroll", () => {
      if (!this.more.hidden && frame.scrollTop + 2 * frame.clientHeight > frame.scrollHeight) this.grow(FIRST_ROWS);
    }, { passive: true });
    this.layOut();
  }

  grow(rows) {
    this.most += rows;
    this.layOut();
  }

  // The first ones of those that no filter hides; on paper all are there.
  layOut() {
    const shown = [...this.body.rows].filter((row) => !row.hidden);
    shown.forEach((row, i) => row.classList.toggle("later", i >= this.most));
    this.more.hidden = shown.length <= this.most;
    this.more.textContent = `Show all ${shown.length} rows`;
  }
}

const table = document.querySelector("#runs-table tbody");
const rows = [...table.rows];
const longTables = [...document.querySelectorAll(":is(#runs-table, #attempts-table) tbody")].map((body) => new LongTable(body));

// What has no value comes last, whichever the direction; further W&B runs of a job stay below it, which has its place
// by the best of them.
function sortBy(button, column, wanted) {
  const direction = wanted ?? (button.dataset.direction === "ascending" ? "descending" : "ascending");
  const sign = direction === "ascending" ? 1 : -1;
  const groups = new Map();
  for (const row of table.rows) {
    const run = report.within[row.dataset.run] ?? Number(row.dataset.run);
    if (!groups.has(run)) groups.set(run, { value: "", rows: [] });
    const group = groups.get(run);
    const value = row.cells[column].dataset.sort ?? "";
    if (group.value === "" || (value !== "" && sign * (value - group.value) < 0)) group.value = value;
    group.rows.push(row);
  }
  const sorted = [...groups.values()].sort(({ value: a }, { value: b }) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const difference = Number(a) - Number(b);
    return sign * (Number.isNaN(difference) ? a.localeCompare(b, "en", { numeric: true }) : difference);
  });
  markSorted(button, direction);
  table.append(...sorted.flatMap((group) => group.rows));
  for (const long of longTables) if (long.body === table) long.layOut();
}

function markSorted(button, direction) {
  for (const other of document.querySelectorAll("#runs-table thead button")) {
    delete other.dataset.direction;
    other.closest("th").removeAttribute("aria-sort");
  }
  button.dataset.direction = direction;
  button.closest("th").setAttribute("aria-sort", direction);
}

// In the order of the columns: Run and State, those of the second row, the rest of the first.
const [upper, lower] = document.querySelectorAll("#runs-table thead tr");
const outer = [...upper.querySelectorAll("button")];
const sorters = [...outer.slice(0, 2), ...lower.querySelectorAll("button"), ...outer.slice(2)];
sorters.forEach((button, column) => button.addEventListener("click", () => sortBy(button, column)));
