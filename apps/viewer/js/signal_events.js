// Events on the signal screen: what readers marked, in a layer of its own over the traces. The tag of each is
// a button, so that Tab reaches it. What is filed is decided by the page; here it is asked for.

const TAG_PX = 19; // a lane of tags
const TAG_LANES = 2; // above the traces
const LETTER_PX = 7; // at most, of a tag

const labelsOf = (state) => state.data.events.labels[recording(state).kind] ?? [];
const eventsOf = (state) => state.data.events.marked.filter((one) => one.recording === recording(state).number);
const pickedOf = (state) => eventsOf(state).find((one) => one.id === state.picked) ?? null;
const timesOf = (state, one) => one.at.map((t) => t + (state.moving?.id === one.id ? state.moving.by : 0));

// The nearest sample, as a time.
const onSample = (state, t) => {
  const { rate, samples } = recording(state);
  return Math.min(Math.max(0, Math.round(t * rate)), samples - 1) / rate;
};

const tell = (state, words) => { state.told = words; draw(state); };

const whenOf = (state, one) => {
  const [from, to] = timesOf(state, one);
  return `${from.toFixed(3)}${to > from ? ` to ${to.toFixed(3)}` : ""} s`;
};
const eventWords = (state) => {
  const one = pickedOf(state);
  if (!one) return state.told ?? "";
  const what = `${one.words}, ${whenOf(state, one)}, ${one.lead === null ? "all leads" : one.lead}, marked by ${one.author}`;
  if (state.moving) return `${what}: moved by ${(state.moving.by * 1000).toFixed(1)} ms. Enter files that, Esc takes it back.`;
  return one.mine ? `${what}. ← → move it, Delete deletes it.` : `${what}. It is not yours to move.`;
};

// --- what is asked for --------------------------------------------------------------------------

const ask = (state, act, facts) => {
  state.sent = true;
  state.told = "Filing…";
  state.commit("event", { act, n: Date.now(), ...facts });
  draw(state);
};

// Marks at the calipers, else where the pointer is, else in the middle of what is seen.
const markEvent = (state) => {
  if (!state.data.events.may) { tell(state, "You may look at events and mark none."); return; }
  const label = labelsOf(state).find((one) => one.code === state.label) ?? labelsOf(state)[0];
  const { caliper } = state;
  // looked up now: the traces may have moved below the pointer
  const below = state.pointed && state.samples.isReady ? placeAt(state, state.pointed) : null;
  const middle = below?.t ?? middleOf(state);
  let at = [middle, middle];
  if (caliper && label.is_moment) at = [caliper[caliper.active].t, caliper[caliper.active].t];
  else if (caliper) at = [caliper.a.t, caliper.b.t].sort((a, b) => a - b);
  ask(state, "add", { at: at.map((t) => onSample(state, t)), lead: caliper ? caliper.lead : null,
    label: label.code, recording: recording(state).number });
};

const deleteEvent = (state) => {
  const one = pickedOf(state);
  if (!one) { tell(state, "No event is picked: Tab or G goes to one."); return; }
  if (one.mine) ask(state, "delete", { id: one.id });
};

const moveEvent = (state, by) => {
  const one = pickedOf(state);
  if (!one?.mine || !state.data.events.may) return;
  const { rate, samples } = recording(state);
  const [least, most] = [-one.at[0], (samples - 1) / rate - one.at[1]];
  const to = Math.round(Math.min(Math.max(by, least), most) * rate) / rate;
  state.moving = to ? { id: one.id, by: to } : null;
  draw(state);
};

const fileMove = (state) => {
  const one = pickedOf(state);
  if (!one || !state.moving) return;
  ask(state, "move", { id: one.id, at: timesOf(state, one).map((t) => onSample(state, t)) });
};

const pickEvent = (state, id) => {
  if (state.moving && state.moving.id !== id) state.moving = null;
  state.picked = id;
  draw(state);
};

const nextEvent = (state, by) => {
  const all = eventsOf(state).sort((a, b) => a.at[0] - b.at[0]);
  if (!all.length) { tell(state, "No event is marked on this recording."); return; }
  const here = all.findIndex((one) => one.id === state.picked);
  const first = all.findIndex((one) => one.at[0] >= state.start);
  const next = here >= 0 ? here + by : first < 0 ? 0 : by > 0 ? first : first - 1;
  const one = all[(next + all.length) % all.length];
  if (one.at[0] < state.start || one.at[0] > state.start + spanOf(state.sheet)) {
    state.start = clampStart(state, one.at[0] - spanOf(state.sheet) / 2);
  }
  state.focus = one.id;
  pickEvent(state, one.id);
};

/** Take a key that is pressed on the tag of an event; say whether it was one of its keys. */
const isEventKey = (state, event) => {
  if (!event.target.closest(".event")) return false;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by) moveEvent(state, (state.moving?.by ?? 0) + by * (event.shiftKey ? 10 : 1) / recording(state).rate);
  else if (event.key === "Enter") fileMove(state);
  else if (event.key === "Delete" || event.key === "Backspace") deleteEvent(state);
  else if (event.key === "Escape" && state.moving) { state.moving = null; draw(state); }
  else return false;
  return true;
};

// What the page answers: what was asked for is there now, or it says why not.
const heardOfEvents = (state) => {
  const { marked, said } = state.data.events;
  if (said) state.told = said;
  if (!state.sent) return; // the page ran for another reason
  Object.assign(state, { sent: false, moving: null });
  const follows = state.picked && marked.find((one) => one.replaces === state.picked);
  if (follows) state.picked = follows.id;
};

// --- drawing ------------------------------------------------------------------------------------

// Where an event is drawn: over all leads, which share one axis of time on every sheet, or over its own,
// to which a dotted line leads from the tag. Where that lead is not shown, the line is all there is.
const barsOf = ({ panels, strip, apart }, lead) => {
  const box = (panel, from, to, kind = "") => ({ x: panel.x, t0: panel.t0, seconds: panel.seconds, kind,
    top: from.middle - apart / 2, bottom: to.middle + apart / 2 });
  if (lead === null) return [box(strip, panels[0], panels.at(-1))];
  const own = panels.filter((one) => one.lead === lead).map((one) => box(one, one, one));
  if (own.some((one) => one.x === strip.x && one.top === strip.middle - apart / 2)) return own;
  const below = own.filter((one) => one.top > strip.middle); // in rows; on paper the strip is the last
  const end = below.length ? { middle: below[0].top - apart / 2 } : strip;
  return [box(strip, strip, end, "leader"), ...own];
};

const tagOf = (state) => {
  const tag = make("button", { type: "button" });
  const holder = make("div", { class: "event" }, tag);
  const id = () => holder.dataset.id;
  const mine = () => id() === state.picked && pickedOf(state)?.mine && state.data.events.may;
  tag.addEventListener("focus", () => pickEvent(state, id()));
  tag.addEventListener("pointerdown", (event) => {
    tag.focus({ preventScroll: true });
    if (event.button !== 0 || !mine()) return;
    tag.setPointerCapture(event.pointerId);
    state.pull = { x: event.clientX, by: state.moving?.by ?? 0 };
  });
  tag.addEventListener("pointermove", (event) => {
    if (!state.pull) return;
    const moved = event.clientX - state.pull.x;
    if (state.moving || Math.abs(moved) > 2) moveEvent(state, state.pull.by + moved / state.mm / state.speed);
  });
  tag.addEventListener("pointerup", () => {
    if (!state.pull) return;
    state.pull = null;
    fileMove(state);
  });
  tag.addEventListener("pointercancel", () => { state.pull = null; state.moving = null; draw(state); });
  return holder;
};

const drawEvents = (state, sheet, mm) => {
  const layer = state.part("events");
  layer.style.width = `${sheet.width * mm}px`;
  layer.style.height = `${sheet.height * mm}px`;
  layer.classList.toggle("light", state.isLight);
  const { strip } = sheet;
  const shown = eventsOf(state)
    .map((one) => ({ one, at: timesOf(state, one) }))
    .filter(({ at }) => at[1] >= strip.t0 && at[0] <= strip.t0 + strip.seconds)
    .sort((a, b) => a.at[0] - b.at[0]);
  const kept = new Map();
  let before = null;
  for (const { one } of shown) {
    const found = state.tags.get(one.id) ?? state.tags.get(one.replaces) ?? tagOf(state);
    found.dataset.id = one.id;
    if (!found.isConnected) layer.insertBefore(found, before ? before.nextSibling : layer.firstChild);
    kept.set(one.id, found);
    before = found;
  }
  const remaining = new Set(kept.values());
  for (const old of layer.querySelectorAll(".event")) {
    if (remaining.has(old)) continue;
    if (old.contains(state.root.getRootNode().activeElement)) state.root.focus({ preventScroll: true });
    old.remove();
  }
  state.tags = kept;
  const ends = [];
  for (const { one, at } of shown) placeEvent(state, sheet, mm, { one, at, holder: kept.get(one.id), ends });
  if (state.focus) kept.get(state.focus)?.querySelector("button").focus({ preventScroll: true });
  state.focus = null;
};

const placeEvent = (state, sheet, mm, { one, at, holder, ends }) => {
  const { strip, apart } = sheet;
  const tag = holder.querySelector("button");
  holder.classList.toggle("picked", one.id === state.picked);
  holder.classList.toggle("moved", state.moving?.id === one.id);
  tag.classList.toggle("other", !one.mine);
  tag.textContent = one.tag;
  const name = `${one.words}, ${whenOf(state, one)}, ${one.lead ?? "all leads"}, ${one.author}`;
  for (const attribute of ["aria-label", "title"]) tag.setAttribute(attribute, name);
  const left = (strip.x + Math.max(0, at[0] - strip.t0) * state.speed) * mm;
  let lane = ends.findIndex((end) => end <= left);
  if (lane < 0) lane = Math.min(ends.length, TAG_LANES - 1);
  ends[lane] = left + one.tag.length * LETTER_PX + 12;
  tag.style.left = `${left}px`;
  tag.style.top = `${Math.max(0, (strip.middle - apart / 2) * mm - TAG_PX * (lane + 1))}px`;
  const bars = barsOf(sheet, one.lead).flatMap(({ x, t0, seconds, top, bottom, kind }) => {
    const [from, to] = [Math.max(at[0], t0), Math.min(kind ? at[0] : at[1], t0 + seconds)];
    if (from > to) return [];
    const bar = make("i", { class: kind || (at[1] > at[0] ? "span" : "moment") });
    Object.assign(bar.style, { left: `${(x + (from - t0) * state.speed) * mm}px`, top: `${top * mm}px`,
      width: `${Math.max(2, (to - from) * state.speed * mm)}px`, height: `${(bottom - top) * mm}px` });
    return [bar];
  });
  for (const old of holder.querySelectorAll("i")) old.remove();
  holder.prepend(...bars); // the tag stays where it is, and with it the keyboard
};
