// The table of the worklist: one link for each case, opened by a click, by Enter, or in a new tab.
// Every text goes in as text; only what was opened reaches Python.

const PLACES = ["ArrowDown", "ArrowUp", "Home", "End"];
const mounts = new WeakMap();

const same = (one, other) => Boolean(one && other) && one.study === other.study && one.case === other.case;

const linkOf = (row) => make("a", { text: row.cells[0], href: row.href, title: row.cells[0] });

const cellsOf = (row) => row.cells.map((text, column) => (column
  ? make("td", { text, title: text, class: text === "unknown" ? "unknown" : "" })
  : make("td", {}, linkOf(row))));

/** A line of its own below a case of which something cannot be read. */
const whyOf = (row) => {
  const text = row.problem ? `Cannot be read: ${row.problem}` : row.note;
  const cell = make("td", { text, colspan: row.cells.length, class: row.problem ? "problem" : "note" });
  return make("tr", { class: "why" }, cell);
};

const headOf = (columns) => make("thead", {}, make("tr", {}, ...columns.map(({ id, title, sort }) =>
  make("th", { text: title, scope: "col", "aria-sort": sort, title, class: id }))));

const tableOf = (data, open) => {
  const body = make("tbody");
  for (const row of data.rows) {
    const press = (event) => {
      // a new tab is the browser's own business
      if (event.button || event.shiftKey || isOfOthers(event)) return;
      event.preventDefault();
      open(row.open);
    };
    body.append(make("tr", { onclick: press }, ...cellsOf(row)));
    if (row.problem || row.note) body.append(whyOf(row));
  }
  return make("table", {}, make("caption", { text: data.caption }), headOf(data.columns), body);
};

const walk = (root, event) => {
  if (!PLACES.includes(event.key) || isOfOthers(event)) return;
  const links = [...root.querySelectorAll("a")], at = links.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
  if (at < 0 || !links[to]) return;
  event.preventDefault();
  event.stopPropagation();
  links[to].focus();
};

/** Put the keyboard where the reader was, and take it from nothing that has it. */
const start = (root, data) => {
  if (document.activeElement && document.activeElement !== document.body) return;
  const last = data.rows.findIndex((row) => same(row.open, data.last));
  root.querySelectorAll("a")[Math.max(last, 0)]?.focus({ preventScroll: last < 0 });
};

export default (component) => {
  const { data, parentElement, setTriggerValue } = component;
  const text = JSON.stringify(data);
  const known = mounts.get(parentElement);
  if (known?.text === text) return;
  const root = known?.root ?? make("div", { class: "wl" });
  const open = (place) => setTriggerValue("open", place);
  root.replaceChildren(tableOf(data, open));
  if (!known) {
    root.addEventListener("keydown", (event) => walk(root, event));
    parentElement.append(root);
    start(root, data);
  }
  mounts.set(parentElement, { root, text });
};
