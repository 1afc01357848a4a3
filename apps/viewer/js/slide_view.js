// Where one is on the slide, and which map lies over it: of the screen, or of a further pane of it.

const NEAR = 1 / 4; // screen pixels a slide pixel: 10x where level 0 is 40x
const PLAIN = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]; // screen pixels a slide pixel, without microns

// --- where one is -------------------------------------------------------------------------------

const zoomNow = (state) =>
  state.image.viewportToImageZoom(state.viewer.viewport.getZoom(true));

const zoomTo = (state, zoom) => {
  const { viewport } = state.viewer;
  viewport.zoomTo(state.image.imageToViewportZoom(zoom), null, false);
  viewport.applyConstraints();
};

const power = (state, index) => {
  const { mpp } = state.data;
  zoomTo(state, mpp ? zoomOf(MAGNIFICATIONS[index], mpp[0]) : PLAIN[index]);
};

const flyTo = (state, [x, y, width, height], share = 0.35) => {
  const spare = (1 / share - 1) / 2;
  const rect = new OpenSeadragon.Rect(
    x - width * spare, y - height * spare, width / share, height / share);
  state.viewer.viewport.fitBounds(state.image.imageToViewportRectangle(rect), false);
};

/** Go once to a place that the page asks for, near enough to tell cells. */
const goThere = (state) => {
  const { goto } = state.data;
  if (!goto || goto.n === state.gone) return;
  state.gone = goto.n;
  const [x, y] = goto.at;
  const { viewport } = state.viewer;
  viewport.panTo(state.image.imageToViewportCoordinates(new OpenSeadragon.Point(x, y)), false);
  if (zoomNow(state) < NEAR) zoomTo(state, NEAR);
  state.root.dataset.gone = `${x} ${y}`;
};

const showScale = (state) => {
  const zoom = zoomNow(state);
  const { mpp } = state.data;
  const [length, pixels] = roundLength((mpp ? mpp[0] : 1) / zoom, 160);
  state.part("ruler").style.width = `${pixels}px`;
  state.part("length").textContent = mpp ? lengthWords(length) : `${digits(length)} px of the slide`;
  const shown = mpp ? magnificationOf(zoom, mpp[0]) : null;
  state.part("power").textContent = mpp
    ? `${digits(Number(shown.toPrecision(3)))}x · ${digits(mpp[0])} µm/px`
    : `${digits(Number(zoom.toPrecision(3)))} screen px per slide px`;
  state.part("powers").querySelectorAll("button[data-power]").forEach((one, i) => {
    const wanted = mpp ? MAGNIFICATIONS[i] : PLAIN[i];
    const is = Math.abs((mpp ? shown : zoom) / wanted - 1) < 0.01;
    one.setAttribute("aria-pressed", String(is));
  });
  const { facts } = state; // for those who measure the screen
  facts.zoom = String(zoom);
  facts.ruler = `${length} ${pixels}`;
};

// --- maps ---------------------------------------------------------------------------------------

const leastValue = (state) =>
  state.least > 0 ? valueAt(state.map, state.least / 1000) : -Infinity;

const tell = (state, words, isProblem = true) => {
  const said = state.part("said");
  said.hidden = !words;
  said.textContent = words;
  said.classList.toggle("ms-problem", isProblem);
};

const recolour = async (state) => {
  const { map } = state;
  if (!map) return;
  let values;
  try {
    values = await valuesOf(state, map);
  } catch (error) {
    tell(state, `The map is not shown: ${error.message}`);
    return;
  }
  if (state.map !== map) return; // another was chosen while this one came
  const least = leastValue(state);
  state.shown = { map, values, ...coloured(map, values, state.data.colours, least) };
  state.part("least-said").textContent =
    state.least > 0 ? `${Number(least.toPrecision(3))}` : "all";
  state.facts.shown = `${map.role} ${state.shown.shown}`;
  redraw(state);
};

const filterOf = (state) => {
  const { brightness, contrast, gamma } = state.light;
  const parts = [];
  if (brightness !== 1) parts.push(`brightness(${brightness})`);
  if (contrast !== 1) parts.push(`contrast(${contrast})`);
  if (gamma !== 1) parts.push("url(#ms-gamma)");
  if (state.map && state.showMap && state.grey) parts.push("grayscale(1)");
  return parts.join(" ") || "none";
};

const relight = (state) => {
  for (const one of state.root.querySelectorAll("#ms-gamma *[type]"))
    one.setAttribute("exponent", String(1 / state.light.gamma));
  for (const pane of openPanes(state)) pane.viewer.drawer.canvas.style.filter = filterOf(pane);
  const plain = Object.values(state.light).every((one) => one === 1);
  state.part("light").setAttribute("aria-pressed", String(!plain));
};

const showDoubts = (state) =>
  state.part("doubts").replaceChildren(
    ...state.data.doubts.map((words) => make("span", { text: words, class: "ms-badge" })));

// A picture of the screen alone says whose it is and which model drew on it.
const showWho = (state) => {
  const { who, model } = state.data;
  const map = state.map && state.showMap ? ` · ${state.map.title}, ${model}` : "";
  state.part("who").textContent = `${who}${map}`;
};

const choose = (state, role) => {
  state.map = state.data.maps.find((one) => one.role === role) || null;
  state.showMap = true;
  state.shown = state.map ? state.shown : null;
  if (state.shown && state.shown.map.role !== role) state.shown = null;
  state.least = 0;
  state.part("least").value = "0";
  for (const one of state.part("maps").querySelectorAll("button"))
    one.setAttribute("aria-pressed", String((one.dataset.role || "") === (role || "")));
  state.part("legend").classList.toggle("ms-off", !state.map); // its room stays: nothing jumps
  state.facts.shown = "";
  if (state.map) {
    const { low, middle, high, meaning, caution } = state.map;
    state.part("low").textContent = low;
    state.part("middle").textContent = middle;
    state.part("high").textContent = high;
    state.part("caution").textContent =
      `${meaning[0].toUpperCase()}${meaning.slice(1)}. ${caution} ` +
      "No colour: no tile was used there, or it is below the threshold.";
    recolour(state);
  }
  showWho(state);
  relight(state);
  redraw(state);
};

const showMaps = (state) => {
  const { maps } = state.data;
  const parent = state.part("maps");
  parent.replaceChildren();
  parent.hidden = state.part("legend").hidden = !maps.length;
  if (!maps.length) return;
  parent.append(button("No map", () => choose(state, null), { title: "The slide alone (M)" }));
  for (const map of maps)
    parent.append(
      button(map.title, () => choose(state, map.role), { title: map.meaning, "data-role": map.role }));
  const bar = state.part("colours").getContext("2d");
  const picture = new ImageData(256, 1);
  for (let i = 0; i < 256; i++)
    picture.data.set([...state.data.colours.slice(3 * i, 3 * i + 3), 255], 4 * i);
  bar.putImageData(picture, 0, 0);
};

const wireMap = (state) => {
  const on = (name, kind, work) => state.part(name).addEventListener(kind, work);
  const say = () => {
    state.part("opacity-said").textContent = `${state.part("opacity").value} %`;
  };
  state.part("opacity").value = String(100 * state.opacity);
  say();
  on("opacity", "input", (event) => {
    state.opacity = Number(event.target.value) / 100;
    say();
    paint(state);
  });
  on("least", "input", (event) => {
    state.least = Number(event.target.value);
    recolour(state);
  });
  on("grey", "change", (event) => { state.grey = event.target.checked; relight(state); });
};

const nextMap = (state) => {
  const roles = [null, ...state.data.maps.map((one) => one.role)];
  choose(state, roles[(roles.indexOf(state.map?.role ?? null) + 1) % roles.length]);
};
