// One, two or four panes of the slide, each with a map of its own, all at the same place.
//
// The first pane is the screen itself. A further one sees through to it for whatever they share, the
// result, outlines and what is being drawn; its viewer, its parts and its map are its own.

const COUNTS = [1, 2, 4];

/** What a pane has of its own before it is opened. */
const freshPane = (number, element, facts) => ({
  number, element, facts, viewer: null, image: null, over: null, failed: false, closed: false,
  map: null, shown: null, showMap: true, opacity: 0.55, least: 0, grey: true,
});

const openPanes = (state) => state.panes.filter((pane) => pane.over);

/** The pane that the keys of the map are for. */
const activate = (state, active) => {
  state.active = active;
  for (const pane of state.panes) pane.element.classList.toggle("ms-active", pane === active);
};

// --- the same place -----------------------------------------------------------------------------

// Whoever is moved leads. The others are put where it is, picture by picture and without a glide of
// their own; that they were put there is not heard, so that nothing goes in circles.
const gather = (state) => {
  const { leader } = state;
  const zoom = zoomNow(leader);
  const centre = leader.viewer.viewport.getCenter(true);
  state.isGathering = true;
  for (const pane of openPanes(state)) {
    if (pane === leader) continue;
    const { viewport } = pane.viewer;
    viewport.zoomTo(pane.image.imageToViewportZoom(zoom), null, true);
    viewport.panTo(centre, true);
  }
  state.isGathering = false;
};

const link = (state, pane) => {
  const { viewer } = pane;
  let isResized = false; // which moves it too, but nobody did
  const lead = () => { if (!state.isGathering && !isResized) state.leader = pane; };
  viewer.addHandler("pan", lead);
  viewer.addHandler("zoom", lead);
  viewer.addHandler("resize", () => { isResized = true; });
  viewer.addHandler("viewport-change", () => {
    if (isResized || state.leader === pane) gather(state);
    isResized = false;
  });
};

// --- what is under the pointer ------------------------------------------------------------------

const wordsAt = (pane, at) => {
  const { mpp } = pane.data;
  const [x, y] = at;
  if (!(x >= 0 && y >= 0 && x < pane.info.width && y < pane.info.height)) return "";
  const place = mpp
    ? `${digits((x * mpp[0]) / 1000)}, ${digits((y * mpp[1]) / 1000)} mm`
    : `${Math.floor(x)}, ${Math.floor(y)} px`;
  const cell = pane.shown && cellAt(pane.shown.map, at);
  const value = cell === null || cell === undefined ? NaN : pane.shown?.values[cell];
  const number = Number.isFinite(value) ? ` · ${Number(value.toPrecision(3))}` : "";
  return `${place}${number}`;
};

/** Say in each pane what lies under the pointer there, and mark the place in the others. */
const pointTo = (state, pane, event) => {
  const box = pane.viewer.canvas.getBoundingClientRect();
  const at = slideOf(pane, new OpenSeadragon.Point(event.clientX - box.left, event.clientY - box.top));
  const { draft } = state;
  const isDrawn = pane === state && draft && !draft.done && draft.points.length;
  if (isDrawn) draft.next = at;
  state.pointer = { pane, at };
  for (const one of openPanes(state)) one.part("at").textContent = wordsAt(one, at);
  if (isDrawn || state.panes.length > 1) redraw(state);
};

// --- opening and closing ------------------------------------------------------------------------

const openPane = async (state, pane) => {
  const viewer = await openViewer(pane);
  if (pane.closed) {
    viewer.destroy();
    return;
  }
  pane.viewer = viewer;
  pane.image = viewer.world.getItemAt(0);
  pane.over = make("canvas", { class: "ms-over" });
  viewer.canvas.append(pane.over);
  viewer.canvas.style.cursor = "grab";
  viewer.addHandler("update-viewport", () => { paint(pane); showScale(pane); });
  viewer.addHandler("canvas-press", () => {
    activate(state, pane);
    state.root.focus({ preventScroll: true });
  });
  viewer.addHandler("tile-load-failed", () => { pane.failed = true; });
  viewer.canvas.addEventListener("pointermove", (event) => pointTo(state, pane, event));
  viewer.canvas.addEventListener("pointerleave", () => { state.pointer = null; redraw(state); });
  pane.element.addEventListener("focusin", () => activate(state, pane));
  wireMap(pane);
  link(state, pane);
};

const closePane = (pane) => {
  pane.closed = true; // one that is still being opened is closed when it is
  pane.viewer?.destroy();
  pane.viewer = pane.over = null;
};

/** A map that no pane shows yet, the bare slide before all of them. */
const unseenMap = (state) => {
  const seen = state.panes.map((pane) => pane.map?.role);
  return [null, ...state.data.maps].find((one) => !seen.includes(one?.role)) ?? null;
};

const addPane = async (state) => {
  const number = state.panes.length + 1;
  const element = state.blank.cloneNode(true);
  const pane = Object.assign(Object.create(state), freshPane(number, element, element.dataset));
  pane.part = (name) => element.querySelector(`[data-part="${name}"]`) ?? state.part(name);
  pane.map = unseenMap(state);
  element.setAttribute("aria-label", `Pane ${number}`);
  state.panes.at(-1).element.after(element);
  state.panes.push(pane);
  await openPane(state, pane);
  if (pane.closed) return;
  gather(state);
  showDoubts(pane);
  showMaps(pane);
  choose(pane, pane.map?.role ?? null);
  element.dataset.ready = "yes";
};

/** Before the panes get another size: the magnification stays, and a whole slide stays whole. */
const keepScale = ({ viewer, image }) => {
  const { viewport } = viewer;
  const asked = () => image.viewportToImageZoom(viewport.getZoom());
  const zoom = asked();
  const isSame = () => Math.abs(asked() / zoom - 1) < 1e-6; // nobody has gone elsewhere since
  const home = () => { if (isSame()) viewport.goHome(true); };
  viewer.preserveImageSizeOnResize = true;
  if (Math.abs(viewport.getZoom() / viewport.getHomeZoom() - 1) < 0.01)
    viewer.addOnceHandler("resize", () => viewer.addOnceHandler("viewport-change", home));
};

/** Show one, two or four panes. */
const showPanes = (state, count) => {
  if (count === state.panes.length) return;
  keepScale(state);
  for (const pane of state.panes.splice(count)) {
    closePane(pane);
    pane.element.remove();
  }
  if (!state.panes.includes(state.leader)) state.leader = state;
  if (!state.panes.includes(state.active)) activate(state, state);
  while (state.panes.length < count) {
    const number = state.panes.length + 1;
    addPane(state).catch((error) => tell(state, `Pane ${number} cannot be shown: ${error.message}`));
  }
  state.pointer = null;
  state.part("panes").dataset.count = String(count);
  for (const one of state.part("counts").querySelectorAll("button"))
    one.setAttribute("aria-pressed", String(one.textContent === String(count)));
};

const nextCount = (state) =>
  showPanes(state, COUNTS[(COUNTS.indexOf(state.panes.length) + 1) % COUNTS.length]);
