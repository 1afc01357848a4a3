// The signal screen: mounts once for a result, and takes what changes from each run of the page.

const states = new WeakMap();

const clampStart = (state, start) => {
  const most = Math.max(0, lengthOf(state) - (state.sheet ? spanOf(state.sheet) : 0));
  return Math.min(Math.max(0, start), most);
};

// --- drawing ------------------------------------------------------------------------------------

const draw = (state) => {
  if (state.due) return;
  state.due = requestAnimationFrame(() => {
    state.due = 0;
    drawNow(state);
  });
};

const drawNow = (state) => {
  const wide = state.root.clientWidth;
  if (!wide || !state.data.recordings.length) return;
  const { pixels: mm } = scale();
  state.mm = mm;
  state.ink = state.isLight ? LIGHT : DARK;
  state.sheet = sheetOf(state, wide, mm);
  state.start = clampStart(state, state.start);
  state.sheet = sheetOf(state, wide, mm);
  const { sheet } = state;
  const canvas = state.part("sheet");
  const pen = fitted(canvas, sheet.width * mm, sheet.height * mm);
  pen.fillStyle = state.ink.paper;
  pen.fillRect(0, 0, sheet.width * mm, sheet.height * mm);
  drawGrid(pen, state, sheet, mm);
  state.samples.want(state, state.start, state.start + spanOf(sheet));
  if (state.samples.isReady) {
    drawIntervals(pen, state, sheet, mm);
    drawPulse(pen, state, sheet, mm);
    for (const panel of sheet.panels) drawTrace(pen, state, panel, sheet, mm);
    drawPins(pen, state, sheet, mm);
    drawCaliper(pen, state, sheet, mm);
  }
  drawEvents(state, sheet, mm);
  drawStrip(state, sheet, mm);
  drawOverview(state, sheet, mm);
  wantOverview(state);
  say(state);
};

const wantOverview = async (state) => {
  const name = viewName(state);
  if (state.wholeName === name) return;
  state.wholeName = name;
  const part = await overviewOf(state, Math.max(0, state.sheet.strip.channel));
  if (part) state.whole = { name, part };
  draw(state);
};

const filterWords = (state) => {
  const words = [
    state.above ? `high-pass ${state.above} Hz` : "", state.below ? `low-pass ${state.below} Hz` : "",
    state.notch ? `notch ${state.notch} Hz` : ""].filter(Boolean);
  return words.length ? `${words.join(", ")}, zero phase` : "none";
};

const say = (state) => {
  const { sheet, mm, data } = state;
  const one = recording(state);
  const set = (name, text) => {
    const element = state.part(name);
    if (element.textContent !== text) element.textContent = text;
  };
  const volts = one.millivolts === null ? "no voltage scale"
    : isEeg(state) ? `${state.gain} µV/mm, negative up` : `${state.gain} mm/mV`;
  const unshown = state.samples.part?.each === 2 ? " · every value is least and largest of a part" : "";
  set("title", data.title);
  set("notice", data.notice);
  set("what", `recording ${state.recording + 1} of ${data.recordings.length} · ${montage(state).title}`
    + ` · ${one.rate} Hz${data.simulated ? " · simulated, not a person" : ""}`);
  set("scale", `${state.speed} mm/s · ${volts} · filter: ${filterWords(state)} · `
    + `${state.start.toFixed(2)} to ${Math.min(lengthOf(state), state.start + spanOf(sheet)).toFixed(2)} s of `
    + `${lengthOf(state).toFixed(2)} s · ${mm.toFixed(3)} px per mm, `
    + `${scale().calibrated ? "calibrated on this screen" : "not calibrated: 96 px an inch"}`
    + ` · ${one.millivolts === null ? "each trace to its own size" : "each trace about its median"}${unshown}`);
  set("measured", wordsOf(state));
  set("event", eventWords(state));
  set("intervals", state.intervals?.words ?? "");
  const warning = [one.why, state.samples.problem].filter(Boolean).join(" ");
  set("warn", warning);
  state.part("warn").hidden = !warning;
  const ruler = state.part("ruler");
  ruler.style.width = `${50 * mm}px`;
  legend(state);
  state.part("sheet").setAttribute("aria-label", `Traces, ${state.part("scale").textContent}`);
  Object.assign(state.root.dataset, { // for those who measure the screen
    mm: String(mm), start: String(state.start), speed: String(state.speed), gain: String(state.gain),
    strip: `${sheet.strip.x} ${sheet.strip.width} ${sheet.strip.middle}`, layout: state.layout,
    ready: String(state.samples.isReady && !state.samples.asked),
    caliper: state.caliper ? `${millisecondsOf(state.caliper)} ${state.caliper.b.v - state.caliper.a.v}` : "",
    intervals: state.intervals ? String(state.intervals.marks.length) : "",
  });
};

const EIGHTHS = Array.from({ length: 9 }, (_, k) => k / 8);

const legend = (state) => {
  const { attribution } = state.data;
  const element = state.part("legend");
  element.hidden = !attribution;
  if (!attribution || element.dataset.of === state.evidence) return;
  element.dataset.of = state.evidence;
  if (attribution.problem) { element.replaceChildren(make("span", { text: attribution.problem })); return; }
  const isShare = state.evidence === "attention";
  const { most } = weightOf(state, 0) ?? { most: 1 };
  const bar = make("i");
  bar.style.background = `linear-gradient(90deg, ${EIGHTHS.map((share) => colourAt(stopsOf(state), share)).join(",")})`;
  const words = isShare
    ? "attention of the model, 1 is even: what it looked at, not what is there"
    : `probability of ${attribution.shown} less that without the window`;
  const span = (text) => make("span", { text });
  element.replaceChildren(span(isShare ? "0" : (-most).toPrecision(2)), bar, span(most.toPrecision(2)), span(words));
};

// --- mounting -----------------------------------------------------------------------------------

const listen = (state) => {
  const { root } = state;
  const sheet = state.part("sheet");
  root.addEventListener("keydown", (event) => onKey(state, event));
  for (const kind of ["keydown", "pointerdown", "wheel"]) {
    root.addEventListener(kind, () => { state.acted = Date.now(); }, { passive: true });
  }
  sheet.addEventListener("pointerdown", (event) => {
    root.focus({ preventScroll: true });
    const place = event.button === 0 && state.samples.isReady ? placeAt(state, event) : null;
    if (!place) return;
    sheet.setPointerCapture(event.pointerId);
    state.drag = place;
  });
  sheet.addEventListener("pointermove", (event) => {
    state.pointed = { clientX: event.clientX, clientY: event.clientY };
    if (!state.drag) return;
    const box = sheet.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / state.mm, (event.clientY - box.top) / state.mm];
    const { panel, t, v } = state.drag;
    const end = inPanel(state, panel, Math.min(Math.max(x, panel.x), panel.x + panel.width), y);
    if (Math.abs(end.t - t) * state.speed < 0.5 && Math.abs(end.v - v) < 1e-12) return;
    calipersAt(state, panel, { t, v }, end);
    draw(state);
  });
  sheet.addEventListener("pointerup", () => { state.drag = null; });
  sheet.addEventListener("pointerleave", () => { state.pointed = null; });
  sheet.addEventListener("dblclick", (event) => {
    const place = placeAt(state, event);
    if (place) { state.caliper = null; pin(state, place); }
  });
  root.addEventListener("wheel", (event) => {
    if (event.ctrlKey || !event.target.closest("canvas")) return;
    event.preventDefault();
    const by = Math.sign(event.deltaX || event.deltaY);
    go(state, state.start + by * (event.shiftKey ? 5 : 1) * 0.2);
  }, { passive: false });
  const overview = state.part("overview");
  const jump = (event) => {
    const box = overview.getBoundingClientRect();
    go(state, (event.clientX - box.left) / box.width * lengthOf(state) - spanOf(state.sheet) / 2);
  };
  overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); jump(event); });
  overview.addEventListener("pointermove", (event) => { if (event.buttons) jump(event); });
};

const mount = (component) => {
  const root = component.parentElement.querySelector(".signal");
  const state = {
    root, data: component.data, part: (name) => root.querySelector(`[data-part="${name}"]`),
    commit: (name, value) => component.setTriggerValue(name, value),
    recording: 0, montage: "recorded", evidence: "attention", isLight: false, acted: Date.now(),
    start: 0, due: 0, tags: new Map(),
  };
  state.samples = new Samples(() => draw(state));
  states.set(component.parentElement, state);
  listen(state);
  keysBox(state);
  if (state.data.recordings.length) choose(state, 0);
  goThere(state);
  [state.lookAbove, state.unwatch] = onlyBelowItsHeading(root, () => state.data.api);
  state.watch = new ResizeObserver(() => draw(state));
  state.watch.observe(root);
  state.timer = setInterval(() => {
    if (Date.now() - state.acted < RENEW_MS) state.commit("renew", Date.now());
  }, RENEW_MS);
  return state;
};

export default (component) => {
  const { parentElement, data } = component;
  const found = states.get(parentElement);
  if (!found) mount(component);
  else {
    const isOther = found.data.api !== data.api || found.data.sealed !== data.sealed;
    found.data = data;
    found.lookAbove();
    found.commit = (name, value) => component.setTriggerValue(name, value);
    heardOfEvents(found);
    if (isOther) {
      found.samples = new Samples(() => draw(found));
      found.wholeName = "";
      delete found.part("legend").dataset.of;
      choose(found, 0);
    }
    goThere(found);
    draw(found);
  }
  return () => {
    // Called where the component goes; a rerun keeps the element.
    setTimeout(() => {
      const state = states.get(parentElement);
      if (!state || state.root.isConnected) return;
      state.unwatch();
      state.watch.disconnect();
      clearInterval(state.timer);
      states.delete(parentElement);
    }, 0);
  };
};
