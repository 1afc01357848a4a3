// The slide screen: mounts once for a result, and takes what changes from each run of the page.

const POWERS = MAGNIFICATIONS.map((power, i) => [String(i + 1), power]);
const KEYS = [
  ["1 2 3 4 5", "2.5x, 5x, 10x, 20x, 40x"], ["+ −, wheel", "closer, farther"],
  ["arrows, drag", "move"], ["0", "whole slide"], ["M", "next map, or none"],
  ["H", "hide and show map"], ["L", "one, two or four panes"],
  ["O", "hide and show outlines"], ["[ ]", "previous, next ranked tile"],
  ["P", "outline: click point by point"], ["D", "distance"], ["C", "pin a comment"],
  ["Enter, double click", "close"], ["Backspace", "take back the last point"],
  ["Esc", "leave the tool"], ["?", "these keys"],
];
const states = new WeakMap();

// --- keys ---------------------------------------------------------------------------------------

const toggle = (state, name, card) => {
  const hidden = !state.part(card).hidden;
  state.part(card).hidden = hidden;
  state.part(name).setAttribute("aria-expanded", String(!hidden));
};

const pan = (state, x, y) => {
  const { viewport } = state.viewer;
  const bounds = viewport.getBounds();
  viewport.panBy(new OpenSeadragon.Point(x * bounds.width, y * bounds.height));
  viewport.applyConstraints();
};

const PRESSED = {
  ArrowLeft: (state) => pan(state, -0.15, 0),
  ArrowRight: (state) => pan(state, 0.15, 0),
  ArrowUp: (state) => pan(state, 0, -0.15),
  ArrowDown: (state) => pan(state, 0, 0.15),
  "+": (state) => zoomTo(state, state.image.viewportToImageZoom(state.viewer.viewport.getZoom()) * 1.5),
  "-": (state) => zoomTo(state, state.image.viewportToImageZoom(state.viewer.viewport.getZoom()) / 1.5),
  0: (state) => state.viewer.viewport.goHome(),
  m: ({ active }) => nextMap(active),
  h: ({ active }) => {
    active.showMap = !active.showMap;
    showWho(active);
    relight(active);
    paint(active);
  },
  l: nextCount,
  o: (state) => { state.showShapes = !state.showShapes; redraw(state); },
  "]": (state) => visit(state, state.visited + 1),
  "[": (state) => visit(state, state.visited - 1),
  p: (state) => use(state, "outline"),
  d: (state) => use(state, "distance"),
  c: (state) => state.data.may_file && use(state, "pin"),
  Enter: close,
  Backspace: takeBack,
  Escape: (state) => use(state, null),
  "?": (state) => toggle(state, "ask", "keys"),
};
PRESSED["="] = PRESSED["+"];
POWERS.forEach(([key], i) => { PRESSED[key] = (state) => power(state, i); });

const press = (state, event) => {
  if (isOfOthers(event) || event.key === "Tab") return;
  if (isTyped(event)) {
    if (event.key === "Escape") { use(state, null); state.root.focus(); }
    return;
  }
  const isControl = event.target.matches?.("input, button");
  if (isControl && ["Enter", " ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(event.key))
    return;
  const work = PRESSED[event.key] || PRESSED[event.key.toLowerCase()];
  if (!work && event.key !== "r") return;
  event.stopPropagation();
  event.preventDefault();
  work?.(state);
};

// --- mounting -----------------------------------------------------------------------------------

const trouble = (state, words) => {
  state.part("trouble").textContent = words;
  state.part("trouble").hidden = !words;
};

const stayAwake = (state) => {
  if (Date.now() - state.ticketAt < RENEW_MS) return;
  state.ticketAt = Date.now();
  state.component.setTriggerValue("renew", { n: Date.now() });
};

const wireControls = (state) => {
  const on = (name, kind, work) => state.part(name).addEventListener(kind, work);
  on("light", "click", () => toggle(state, "light", "light-card"));
  on("ask", "click", () => toggle(state, "ask", "keys"));
  for (const name of Object.keys(state.light))
    on(name, "input", (event) => {
      state.light[name] = Number(event.target.value) / 100;
      relight(state);
    });
  on("as-scanned", "click", () => {
    for (const name of Object.keys(state.light)) {
      state.light[name] = 1;
      state.part(name).value = "100";
    }
    relight(state);
  });
  on("form", "submit", (event) => { event.preventDefault(); save(state); });
  on("discard", "click", () => { use(state, null); state.root.focus(); });
  on("what-if", "click", () => ask(state, geometryOf(state.draft)));
  state.root.addEventListener("keydown", (event) => press(state, event));
};

const buildBar = (state) => {
  const powers = state.part("powers");
  POWERS.forEach(([key, at], i) => powers.append(
    button(state.data.mpp ? `${at}x` : `1:${1 / PLAIN[i]}`, () => power(state, i),
      { title: `Key ${key}`, "data-power": key })));
  powers.append(button("Whole", () => state.viewer.viewport.goHome(), { title: "Key 0" }));
  const tools = [["move", "Move", "Esc"], ["outline", "Outline", "P"], ["distance", "Distance", "D"]];
  if (state.data.may_file) tools.push(["pin", "Pin", "C"]);
  for (const [name, text, key] of tools)
    state.part("tools").append(
      button(text, () => use(state, name === "move" ? null : name),
        { title: `Key ${key}`, "data-tool": name }));
  for (const count of COUNTS)
    state.part("counts").append(
      button(String(count), () => showPanes(state, count),
        { title: "Key L", "aria-pressed": String(count === 1) }));
  state.part("keys").append(keyList(KEYS));
};

const start = async (state) => {
  await readSlide(state);
  await openPane(state, state);
  if (state.closed) return;
  const { viewer } = state;
  viewer.addHandler("animation-finish", () => stayAwake(state));
  viewer.addHandler("canvas-click", (event) => {
    if (event.quick) addPoint(state, slideOf(state, event.position));
  });
  viewer.addHandler("canvas-double-click", () => close(state));
  buildBar(state);
  wireControls(state);
  use(state, null);
  update(state);
  const first = state.data.maps[0];
  choose(state, first ? first.role : null);
  showScale(state);
  state.root.dataset.ready = "yes";
};

// What may have changed since the last run of the page.
const update = (state) => {
  const { data } = state;
  for (const pane of openPanes(state)) {
    showWho(pane);
    showDoubts(pane);
  }
  const maps = JSON.stringify(data.maps);
  if (maps !== state.mapsDrawn) {
    state.mapsDrawn = maps;
    showTiles(state);
    for (const pane of openPanes(state)) {
      showMaps(pane);
      choose(pane, data.maps.find((one) => one.role === pane.map?.role)?.role ?? null);
    }
  }
  showShapes(state);
  showAnswer(state);
  hear(state);
  if (!data.pinned) state.pin = null;
  goThere(state);
  for (const pane of openPanes(state).filter((one) => one.failed)) { // the ticket had run out
    pane.failed = false;
    pane.image.reset();
  }
  redraw(state);
};

const mount = (component) => {
  performance.mark("medconsist started"); // `medconsist bench viewer` reads the two marks
  const { parentElement, data } = component;
  const root = parentElement.querySelector(".ms");
  const untouched = root.cloneNode(true); // for another result, should one come to this place
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const state = {
    ...freshPane(1, part("pane"), root.dataset), component, data, root, part, values: new Map(),
    ranked: [], visited: -1, showShapes: true, ticketAt: Date.now(), untouched,
    light: { brightness: 1, contrast: 1, gamma: 1 }, heard: data.said?.n,
  };
  state.address = (path, query) => addressOf(state.data, path, query).href;
  state.panes = [state];
  state.leader = state.active = state;
  state.blank = state.element.cloneNode(true);
  state.blank.querySelector('[data-part="cards"]').remove();
  state.blank.classList.remove("ms-active");
  states.set(parentElement, state);
  state.unwatch = onlyBelowItsHeading(root, () => state.data.api)[1];
  start(state).catch((error) => trouble(state, `The slide cannot be shown: ${error.message}`));
};

const leave = (parentElement) => {
  const state = states.get(parentElement);
  state.unwatch();
  state.panes.forEach(closePane);
  states.delete(parentElement);
};

export default (component) => {
  const { parentElement, data } = component;
  const state = states.get(parentElement);
  if (!state) mount(component);
  else if (state.data.api !== data.api) { // never two results in one
    leave(parentElement);
    state.root.replaceWith(state.untouched);
    mount(component);
  } else {
    if (state.data.ticket !== data.ticket) state.ticketAt = Date.now();
    Object.assign(state, { data, component });
    if (state.over) update(state);
  }
  return () => {
    // Called where the component goes; a rerun keeps the element.
    setTimeout(() => { if (states.get(parentElement)?.root.isConnected === false) leave(parentElement); }, 0);
  };
};
