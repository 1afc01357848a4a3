// Ranked tiles, outlines, distances, pins, and what the model says without some tiles.

// --- ranked tiles -------------------------------------------------------------------------------

const visit = (state, index) => {
  const all = state.ranked;
  if (!all.length) return;
  state.visited = (index + all.length) % all.length;
  const tile = all[state.visited];
  state.place = tile.box;
  for (const one of state.part("galleries").querySelectorAll("button"))
    one.setAttribute("aria-pressed", String(Number(one.dataset.tile) === state.visited));
  flyTo(state, tile.box);
};

const showTiles = (state) => {
  const parent = state.part("galleries");
  const { ranked } = state.data;
  parent.replaceChildren();
  state.ranked = ranked ? [...ranked.top, ...ranked.bottom] : [];
  if (!ranked) return;
  let index = 0;
  for (const [title, tiles] of [["Highest", ranked.top], ["Lowest", ranked.bottom]]) {
    const row = make("div", { class: "ms-gallery", role: "group", "aria-label": `${title} tiles` });
    row.append(make("span", { text: `${title} · ${ranked.title}` }));
    for (const tile of tiles) {
      const at = index++;
      const [x, y, w, h] = tile.box;
      const words = `${title} tile, ${valueWords(tile.value)}: go there`;
      const one = button("", () => visit(state, at), { title: words, "data-tile": String(at) });
      const picture = make("img", {
        alt: `${title} tile ${at + 1}`, loading: "lazy",
        src: state.address("slide/region.jpg", { x, y, w, h }),
      });
      one.append(picture, make("span", { text: valueWords(tile.value) }));
      row.append(one);
    }
    parent.append(row);
  }
};

// --- outlines and tools -------------------------------------------------------------------------

const use = (state, tool) => {
  state.tool = tool;
  state.draft = tool === "outline" || tool === "distance" ? { kind: tool, points: [] } : null;
  state.part("form").hidden = true;
  for (const one of state.part("tools").querySelectorAll("button[data-tool]"))
    one.setAttribute("aria-pressed", String(one.dataset.tool === (tool || "move")));
  state.viewer.canvas.style.cursor = tool ? "crosshair" : "grab";
  redraw(state);
};

const close = (state) => {
  const { draft } = state;
  if (!draft || draft.closed) return;
  const near = 4 / zoomNow(state); // a double click sets one point twice
  const points = draft.points.filter((one, i) => {
    const last = draft.points[i - 1];
    return !last || Math.hypot(one[0] - last[0], one[1] - last[1]) > near;
  });
  if (points.length < (draft.kind === "outline" ? 3 : 2)) return;
  draft.points = points;
  draft.closed = draft.kind === "outline";
  draft.done = true;
  draft.next = null;
  if (draft.kind === "outline") openForm(state);
  redraw(state);
};

const openForm = (state, takesKeys = true) => {
  const { data, draft } = state;
  state.part("form-said").textContent = measured(draft.points, data.mpp, true);
  state.part("label").hidden = state.part("save").hidden = !data.may_file;
  state.part("what-if").hidden = !data.what_if;
  state.part("form").hidden = false;
  if (data.may_file && takesKeys) state.part("label").focus();
};

// 32 hexadecimal digits; randomUUID is there only on pages that came encrypted or from loopback.
const newId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");

const geometryOf = (draft) => ({
  type: "Polygon",
  coordinates: [[...draft.points, draft.points[0]]],
});

const ask = (state, geometry) =>
  state.component.setTriggerValue("what_if", { n: Date.now(), geometry });

const save = (state) => {
  const geometry = geometryOf(state.draft);
  const label = state.part("label").value.trim();
  const sent = { n: Date.now(), id: newId(), geometry, label, plane: null };
  state.waiting = { id: sent.id, draft: state.draft, label }; // drawn until it is filed or refused
  state.component.setTriggerValue("shape", { kind: "shape", ...sent });
  state.part("label").value = "";
  use(state, null);
  state.root.focus();
};

/** Say once what became of the last thing; an outline that was refused is there to be mended. */
const hear = (state) => {
  const { waiting } = state;
  const { said, shapes } = state.data;
  if (waiting && shapes.some((one) => one.id === waiting.id)) state.waiting = null;
  const isNew = said && said.n !== state.heard;
  if (!isNew) {
    const words = state.part("said"); // what was refused stays until the reader goes on
    if (!words.classList.contains("ms-problem")) words.hidden = true;
    return;
  }
  state.heard = said.n;
  if (waiting && said.tone && said.of === waiting.id) {
    state.waiting = null;
    use(state, "outline");
    state.draft = waiting.draft;
    state.part("label").value = waiting.label;
    openForm(state, state.root.matches(":focus-within"));
  }
  tell(state, said.words, Boolean(said.tone));
};

const addPoint = (state, at) => {
  state.part("said").hidden = true;
  if (state.tool === "pin") {
    state.pin = at;
    state.component.setTriggerValue(
      "pin", { n: Date.now(), kind: "pin", space: "slide", at, lead: null });
    use(state, null);
    return;
  }
  if (!state.draft) {
    const hit = state.data.shapes.find((one) => inside(at, rings(one.geometry)[0]));
    state.chosen = hit && state.showShapes ? hit.id : null;
    showShapes(state);
  } else if (!state.draft.done) {
    state.draft.points.push(at);
  }
  redraw(state);
};

const takeBack = (state) => {
  const { draft } = state;
  if (!draft) return;
  draft.points.pop();
  Object.assign(draft, { closed: false, done: false });
  state.part("form").hidden = true;
  redraw(state);
};

const showShapes = (state) => {
  const parent = state.part("shapes");
  const { shapes } = state.data;
  parent.replaceChildren();
  if (!shapes.length) return;
  parent.append(make("span", { text: `Outlines (${shapes.length})` }));
  const list = make("ul");
  for (const shape of shapes) {
    const row = make("li", { class: shape.mine ? "ms-own" : "" });
    if (shape.id === state.chosen) row.classList.add("ms-chosen");
    const size = measured(rings(shape.geometry)[0].slice(0, -1), state.data.mpp, true);
    const go = () => {
      state.chosen = shape.id;
      flyTo(state, boundsOf(shape.geometry), 0.6);
      showShapes(state);
      redraw(state);
    };
    row.append(button(shape.label || "no label", go, { title: "Go there" }));
    const older = shape.here ? "" : " · drawn on another result of this slide";
    row.append(make("span", { text: ` ${shape.author} · ${shape.created.slice(0, 16)} · ${size}${older} ` }));
    if (state.data.what_if)
      row.append(button("What if not there?", () => ask(state, shape.geometry),
        { title: "The case without these tiles" }));
    if (shape.mine && state.data.may_file)
      row.append(button("Withdraw", () =>
        state.component.setTriggerValue("withdraw", { n: Date.now(), id: shape.id }),
      { title: "Take your outline back; it stays in the record" }));
    list.append(row);
  }
  parent.append(list);
};

// What the model would say without some tiles: marked twice over, so that no picture of the screen
// passes for a result.
const showAnswer = (state) => {
  const parent = state.part("answer");
  const { answer } = state.data;
  parent.hidden = !answer || answer.n === state.answerRead;
  if (parent.hidden || answer.n === state.answerDrawn) return;
  state.answerDrawn = answer.n;
  const row = (kind, cells) => make("tr", {}, ...cells.map((text) => make(kind, { text })));
  const table = make("table", {}, make("thead", {}, row("th", ["Class", "Result", "Without"])),
    make("tbody", {}, ...answer.rows.map((cells) => row("td", cells))));
  const away = button("Close", () => {
    state.answerRead = answer.n;
    parent.hidden = true;
    state.root.focus();
  }, { title: "Put the answer away" });
  parent.replaceChildren(
    make("span", { text: answer.watermark, class: "ms-mark", "aria-hidden": "true" }),
    make("strong", { text: answer.watermark }), table,
    ...answer.notes.map((text) => make("p", { text })), away);
};
