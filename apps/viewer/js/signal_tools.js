// The keys, buttons and boxes of the signal screen.

const KEYS = [
  ["← →, wheel", "back and on by a second (Shift: five)"], ["Page up, Page down", "by a screen"],
  ["Home, End", "begin and end of the recording"], ["space", "run on in real time, stop"],
  ["+ −", "gain"], ["[ ]", "speed"], ["L", "3 x 4 and rhythm, or one row a lead"],
  [", .", "previous, next recording of the case"], ["drag", "calipers: ms, bpm, mV"],
  ["C", "calipers in the middle; again: away"],
  ["← → ↑ ↓ with calipers", "move the active end by a sample, by 0.1 mm (Shift: ten times)"],
  ["X", "the other end of the calipers"], ["S", "move the active end to the nearest peak"],
  ["V", "next lead for the calipers"], ["Q", "RR and QT, automatic and unchecked"],
  ["B", "band power of what is seen of an EEG, automatic; again: away"],
  ["P, double click", "pin a comment at the calipers or the place"],
  ["E", "mark an event: at the calipers, for their lead; else at the pointer, else in the middle"],
  ["G, Shift G, Tab", "next, previous event"],
  ["← → on an event, drag", "move it by a sample (Shift: ten); Enter files the move, Esc takes it back"],
  ["Delete on an event", "delete it; the record keeps it"],
  ["W", "light or dark paper"], ["Esc", "calipers away"], ["?", "these keys"],
];

const KEYS_OF_PAGE = {
  Home: (state) => go(state, 0), End: (state) => go(state, Infinity),
  PageUp: (state) => go(state, state.start - spanOf(state.sheet)),
  PageDown: (state) => go(state, state.start + spanOf(state.sheet)),
  " ": cine,
  "+": (state) => gain(state, 1), "=": (state) => gain(state, 1),
  "-": (state) => gain(state, -1), "−": (state) => gain(state, -1),
  "[": (state) => speed(state, -1), "]": (state) => speed(state, 1),
  l: setLayout,
  ",": (state) => other(state, -1), ".": (state) => other(state, 1),
  c: (state) => { if (state.caliper) { state.caliper = null; draw(state); } else middleCalipers(state); },
  x: (state) => { if (state.caliper) { state.caliper.active = state.caliper.active === "a" ? "b" : "a"; draw(state); } },
  s: snap,
  v: (state) => {
    const panels = state.sheet.panels.filter((one) => one.channel >= 0);
    const at = panels.findIndex((one) => one.lead === state.caliper?.lead);
    middleCalipers(state, panels[(at + 1) % panels.length]);
  },
  q: (state) => { if (canMeasure(state)) measure(state); },
  b: (state) => { if (hasBands(state)) bandPower(state); },
  p: (state) => pin(state, { t: middleOf(state), panel: state.sheet.strip }),
  e: markEvent,
  g: (state, event) => nextEvent(state, event?.shiftKey ? -1 : 1),
  w: (state) => { state.isLight = !state.isLight; draw(state); },
  Escape: (state) => {
    Object.assign(state, { caliper: null, running: false, picked: null, moving: null, told: "" });
    state.part("keys").hidden = true;
    draw(state);
  },
  "?": (state) => { const box = state.part("keys"); box.hidden = !box.hidden; },
};
const canMeasure = (state) => recording(state).kind === "ecg" && !state.data.sealed;

const hasBands = (state) => isEeg(state) && !state.data.sealed;

const gain = (state, by) => {
  if (recording(state).millivolts === null) return;
  state.gain = step(gains(state), state.gain, isEeg(state) ? -by : by);
  tools(state);
  draw(state);
};
const speed = (state, by) => {
  state.speed = step(speeds(state), state.speed, by);
  tools(state);
  draw(state);
};

const onKey = (state, event) => {
  if (isOfOthers(event) || isTyped(event) || event.target.closest("input")) return;
  if (event.key === " " && event.target.closest("button")) return;
  if (isEventKey(state, event)) {
    event.preventDefault();
    event.stopPropagation();
    return;
  }
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const arrow = arrows[event.key];
  const times = event.shiftKey ? (state.caliper ? 10 : 5) : 1;
  const known = KEYS_OF_PAGE[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (arrow && state.caliper) moveCaliper(state, arrow[0] * times / recording(state).rate, arrow[1] * times * 0.1);
  else if (arrow && arrow[0]) go(state, state.start + arrow[0] * times);
  else if (known) known(state, event);
  else return;
  event.preventDefault();
  event.stopPropagation(); // keys of the page, such as c and r, are others
};

const select = (state, name, label, options) => {
  const made = make("select", { "aria-label": label, "data-tool": name }, ...options.map(({ value, text, why }) =>
    make("option", { text, value: String(value), disabled: Boolean(why), title: why || null })));
  made.value = String(state[name]);
  return [make("label", { text: label }, made), made];
};

const tools = (state) => {
  const one = recording(state);
  const made = [];
  const back = () => state.root.focus({ preventScroll: true });
  const act = (text, title, work) => made.push(button(text, () => { work(); back(); }, { title }));
  const choice = (name, label, options, taken) => {
    const [holder, element] = select(state, name, label, options);
    element.addEventListener("change", () => {
      taken(element.value);
      tools(state);
      draw(state);
      back();
    });
    made.push(holder);
  };
  if (state.data.recordings.length > 1) {
    choice("recording", "Recording", state.data.recordings.map((_, k) => ({ value: k, text: String(k + 1) })),
      (value) => choose(state, Number(value)));
  }
  choice("speed", "Speed", speeds(state).map((value) => ({ value, text: `${value} mm/s` })),
    (value) => { state.speed = Number(value); });
  if (one.millivolts !== null) {
    choice("gain", "Gain", gains(state).map((value) => ({ value, text: `${value} ${isEeg(state) ? "µV/mm" : "mm/mV"}` })),
      (value) => { state.gain = Number(value); });
  }
  if (one.montages.length > 1) {
    choice("montage", "Montage", one.montages.map(({ name, title, why }) => ({ value: name, text: title, why })),
      (value) => { state.montage = value; state.caliper = null; });
  }
  for (const [name, label, none] of [["above", "High-pass", "none"], ["below", "Low-pass", "none"], ["notch", "Notch", "none"]]) {
    choice(name, label, [{ value: 0, text: none }, ...one[name].map((value) => ({ value, text: `${value} Hz` }))],
      (value) => { state[name] = Number(value); });
  }
  const { attribution } = state.data;
  if (attribution && !attribution.problem) {
    choice("evidence", "Strip", [{ value: "attention", text: "attention" }, { value: "occlusion", text: "leaving out" }],
      (value) => { state.evidence = value; });
  }
  if (one.leads.length) act("Layout", "3 x 4 and rhythm, or one row a lead (L)", () => setLayout(state));
  act("Calipers", "Calipers: drag on the traces (C)", () => KEYS_OF_PAGE.c(state));
  if (canMeasure(state)) act("QT (automatic)", "RR and QT by a program, unchecked (Q)", () => measure(state));
  if (hasBands(state)) act("Band power", "Of what is seen, by a program (B)", () => bandPower(state));
  if (state.data.events.may) {
    choice("label", "Event", labelsOf(state).map(({ code, words }) => ({ value: code, text: words })),
      (value) => { state.label = value; });
    act("Mark event", "Mark an event at the calipers, else in the middle (E)", () => markEvent(state));
    act("Delete event", "Delete the event that is picked: the record keeps it (Delete)", () => deleteEvent(state));
  }
  act("Calibrate", "Make a millimetre a millimetre on this screen", () => calibration(state));
  act("Keys", "All keys (?)", () => KEYS_OF_PAGE["?"](state));
  state.part("tools").replaceChildren(...made);
};

const calibration = (state) => {
  const box = state.part("calibration");
  box.hidden = !box.hidden;
  if (box.hidden) return;
  const card = make("div", { text: "a bank card, 85.6 mm", class: "card" });
  const slider = make("input", { type: "range", min: 150, max: 900, step: 0.5, "aria-label": "Width of the card [px]" });
  const show = () => { card.style.width = `${slider.value}px`; };
  slider.value = String(CARD_MM * scale().pixels);
  slider.addEventListener("input", show);
  show();
  const close = () => { box.hidden = true; state.root.focus({ preventScroll: true }); draw(state); };
  const keep = button("Keep", () => { keepScale(Number(slider.value) / CARD_MM); close(); });
  const reset = button("Forget", () => { keepScale(null); close(); }, { title: "96 pixels an inch again" });
  const words = "Hold a bank card to the screen and move the slider until the frame is as wide. It is kept for this browser and this screen.";
  box.replaceChildren(make("p", { text: words }), card, slider, keep, reset);
};

const keysBox = (state) => {
  state.part("keys").replaceChildren(keyList(KEYS));
};
