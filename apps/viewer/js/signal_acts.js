// What a reader does on the signal screen: pages, calipers, pins, intervals, running on.

const step = (list, value, by) =>
  list[Math.min(Math.max(list.indexOf(value) + by, 0), list.length - 1)];

const go = (state, start) => { state.start = clampStart(state, start); draw(state); };

const choose = (state, number) => {
  state.recording = number;
  const one = recording(state);
  state.montage = "recorded";
  [state.above, state.below, state.notch] = [0, 0, 0];
  state.start = 0;
  state.caliper = null;
  state.intervals = null;
  state.bands = null;
  state.part("bands").hidden = true;
  Object.assign(state, { picked: null, moving: null, told: "", label: labelsOf(state)[0]?.code });
  const found = one.leads.filter((lead) => montage(state).channels.includes(lead));
  state.layout = found.length >= 4 ? "paper" : "rows";
  state.speed = isEeg(state) ? 30 : 25;
  state.gain = isEeg(state) ? 7 : 10;
  tools(state);
  draw(state);
};

// A place that a reader wants to be shown: once for each time that it is asked for.
const goThere = (state) => {
  const { goto, recordings } = state.data;
  if (!goto || goto.n === state.gone) return;
  state.gone = goto.n;
  const number = recordings.findIndex((one) => one.number === goto.recording);
  if (number >= 0 && number !== state.recording) choose(state, number);
  const span = state.sheet ? spanOf(state.sheet) : 0;
  state.start = Math.max(0, (goto.at[0] + goto.at[1] - span) / 2);
  draw(state);
};

const other = (state, by) => {
  const number = state.recording + by;
  if (state.data.recordings[number]) choose(state, number);
};

const placeAt = (state, event) => {
  const box = state.part("sheet").getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / state.mm, (event.clientY - box.top) / state.mm];
  const near = state.sheet.panels.filter((one) => x >= one.x && x <= one.x + one.width && one.channel >= 0);
  if (!near.length) return null;
  const panel = near.reduce((a, b) => (Math.abs(a.middle - y) <= Math.abs(b.middle - y) ? a : b));
  const place = inPanel(state, panel, x, y);
  return place.t <= lengthOf(state) ? { panel, ...place } : null;  // paper behind the end is no place
};

const inPanel = (state, panel, x, y) => {
  const { median, factor } = heightOf(state, panel, state.sheet);
  return { t: panel.t0 + (x - panel.x) / state.speed, v: median + (panel.middle - y) / factor };
};

const calipersAt = (state, panel, a, b) => {
  state.caliper = { lead: panel.lead, channel: panel.channel, a, b, active: "b" };
};

const middleCalipers = (state, panel = state.sheet.strip) => {
  const seconds = Math.min(panel.seconds, Math.max(0, lengthOf(state) - panel.t0));
  const end = (share) => ({ t: panel.t0 + share * seconds, v: state.samples.value(panel.channel, panel.t0 + share * seconds) });
  calipersAt(state, panel, end(3 / 8), end(5 / 8));
  draw(state);
};

const moveCaliper = (state, dt, dmm) => {
  const end = state.caliper[state.caliper.active];
  const panel = state.sheet.panels.find((one) => one.lead === state.caliper.lead);
  end.t = Math.min(Math.max(0, end.t + dt), lengthOf(state));
  if (dmm && panel) end.v += dmm / heightOf(state, panel, state.sheet).factor;
  draw(state);
};

const snap = (state) => {
  const { caliper } = state;
  if (!caliper || state.samples.part?.each !== 1) return;
  const panel = state.sheet.panels.find((one) => one.lead === caliper.lead) ?? state.sheet.strip;
  const end = caliper[caliper.active];
  end.t = state.samples.peak(caliper.channel, end.t, 0.075, heightOf(state, panel, state.sheet).median);
  end.v = state.samples.value(caliper.channel, end.t + 1e-9);
  draw(state);
};

const pin = (state, place) => {
  const { caliper } = state;
  const at = caliper ? [caliper.a.t, caliper.b.t] : [place.t, place.t];
  const thousandths = at.map((one) => Math.round(one * 1000) / 1000).sort((a, b) => a - b);
  state.commit("pin", { at: thousandths, lead: caliper ? caliper.lead : place.panel.lead,
    recording: recording(state).number, n: Date.now() });
};

const measure = async (state) => {
  if (state.intervals) { state.intervals = null; draw(state); return; }
  const asked = { words: "Measuring…", marks: [] };
  state.intervals = asked;
  draw(state);
  let found;
  try {
    const answer = await askFor(state, "intervals", { start: state.start });
    found = answer.ok ? await answer.json() : { words: await answer.text(), marks: [] };
  } catch (error) {
    found = { words: `QT is not measured: ${error.message}`, marks: [] };
  }
  if (state.intervals !== asked) return; // taken back, or of another recording
  state.intervals = found;
  draw(state);
};

// Power in the bands of an EEG, of what is seen now; asked for again it goes away.
const bandPower = async (state) => {
  const box = state.part("bands");
  const asked = state.bands ? null : {};
  state.bands = asked;
  box.hidden = !asked;
  if (!asked) return;
  box.replaceChildren(make("p", { text: "Measuring…" }));
  let shown;
  try {
    const query = { start: state.start, stop: state.start + spanOf(state.sheet), ...viewOf(state) };
    const answer = await askFor(state, "bands", query);
    if (!answer.ok) throw new Error(await answer.text());
    const { words, head, rows } = await answer.json();
    const row = (name, ...cells) => make("tr", {}, make("th", { text: name, scope: "row" }),
      ...cells.map((text) => make("td", { text })));
    shown = make("div", {}, make("p", { text: words }), make("table", { "aria-label": "Band power" },
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { text, scope: "col" })))),
      make("tbody", {}, ...rows.map((cells) => row(...cells)))));
  } catch (error) {
    shown = make("p", { text: `Band power is not measured: ${error.message}` });
  }
  if (state.bands === asked) box.replaceChildren(shown);
};

const cine = (state) => {
  state.running = !state.running;
  let before = performance.now();
  const on = (now) => {
    if (!state.running || !state.root.isConnected) return;
    const { start } = state;
    state.start = clampStart(state, start + (now - before) / 1000);
    before = now;
    state.running = state.start > start;
    drawNow(state);
    requestAnimationFrame(on);
  };
  requestAnimationFrame(on);
};

const setLayout = (state) => {
  if (!recording(state).leads.length) return;
  state.layout = state.layout === "paper" ? "rows" : "paper";
  draw(state);
};
