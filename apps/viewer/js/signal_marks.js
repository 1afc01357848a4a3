// What lies over the traces of the signal screen: calipers, intervals, pins, windows of the model.

const millisecondsOf = (caliper) => Math.abs(caliper.b.t - caliper.a.t) * 1000;
const wordsOf = (state) => {
  const { caliper } = state;
  if (!caliper) return "";
  const ms = millisecondsOf(caliper);
  const rate = ms > 0 ? (isEeg(state) ? `${(1000 / ms).toFixed(2)} Hz` : `${(60000 / ms).toFixed(1)} bpm`) : "–";
  const { millivolts } = recording(state);
  const volts = (caliper.b.v - caliper.a.v) * (millivolts ?? 0);
  const height = millivolts === null ? "no mV: unit unknown"
    : isEeg(state) ? `${(volts * 1000).toFixed(1)} µV` : `${volts.toFixed(3)} mV`;
  return `${caliper.lead}: ${ms.toFixed(1)} ms · ${rate} · ${height}`
    + ` (${caliper.a.t.toFixed(3)} to ${caliper.b.t.toFixed(3)} s)`;
};

const within = (panel, t) => t >= panel.t0 - 1e-9 && t <= panel.t0 + panel.seconds + 1e-9;

const drawCaliper = (pen, state, sheet, mm) => {
  const { caliper, ink } = state;
  if (!caliper) return;
  pen.strokeStyle = ink.caliper;
  pen.fillStyle = ink.caliper;
  pen.lineWidth = 1.2;
  pen.font = "600 12px sans-serif";
  const isScaled = mmPerUnit(state) !== null;
  for (const panel of sheet.panels.filter((one) => one.lead === caliper.lead)) {
    const { median, factor } = heightOf(state, panel, sheet);
    const x = (t) => (panel.x + (t - panel.t0) * state.speed) * mm;
    const y = (v) => (panel.middle - (v - median) * factor) * mm;
    const half = 0.5 * sheet.apart * mm;
    const seen = [caliper.a, caliper.b].filter((end) => within(panel, end.t));
    for (const end of seen) {
      pen.setLineDash(end === caliper[caliper.active] ? [] : [4, 3]);
      pen.beginPath();
      pen.moveTo(x(end.t), panel.middle * mm - half);
      pen.lineTo(x(end.t), panel.middle * mm + half);
      if (isScaled) { pen.moveTo(x(end.t) - 12, y(end.v)); pen.lineTo(x(end.t) + 12, y(end.v)); }
      pen.stroke();
    }
    pen.setLineDash([]);
    if (seen.length === 2) {
      pen.beginPath();
      pen.moveTo(x(caliper.a.t), panel.middle * mm - half + 6);
      pen.lineTo(x(caliper.b.t), panel.middle * mm - half + 6);
      pen.stroke();
      const words = wordsOf(state).replace(/^.*?: /, "").replace(/ \(.*$/, "");
      const [left, base] = [Math.min(x(caliper.a.t), x(caliper.b.t)) + 4, panel.middle * mm - half + 21];
      pen.fillStyle = ink.paper;
      pen.fillRect(left - 2, base - 12, pen.measureText(words).width + 4, 16);
      pen.fillStyle = ink.caliper;
      pen.fillText(words, left, base);
    }
  }
};

const drawIntervals = (pen, state, sheet, mm) => {
  const { intervals, ink } = state;
  if (!intervals || !intervals.marks.length) return;
  for (const panel of sheet.panels.filter((one) => one.lead === intervals.lead)) {
    const x = (t) => (panel.x + (t - panel.t0) * state.speed) * mm;
    const top = (panel.middle - 0.3 * sheet.apart) * mm;
    const height = 0.6 * sheet.apart * mm;
    for (const [begin, end] of intervals.marks) {
      if (!within(panel, begin) || !within(panel, end)) continue;
      pen.fillStyle = ink.mark;
      pen.fillRect(x(begin), top, x(end) - x(begin), height);
      lines(pen, ink.warn, [[x(begin), top, x(begin), top + height], [x(end), top, x(end), top + height]]);
    }
    pen.fillStyle = ink.warn;
    pen.font = "11px sans-serif";
    pen.fillText(`QT ${intervals.said}`, (panel.x + 12) * mm, top - 3);
  }
};

const drawPins = (pen, state, sheet, mm) => {
  const { ink } = state;
  pen.font = "11px sans-serif";
  const { number } = recording(state);
  for (const pin of state.data.pins) {
    if (pin.recording !== null && pin.recording !== number) continue;
    for (const panel of sheet.panels.filter((one) => (pin.lead ?? sheet.strip.lead) === one.lead)) {
      if (!within(panel, pin.at[0])) continue;
      const x = (panel.x + (pin.at[0] - panel.t0) * state.speed) * mm;
      const top = (panel.middle - 0.45 * sheet.apart) * mm;
      lines(pen, ink.caliper, [[x, top, x, top + 0.9 * sheet.apart * mm]]);
      pen.fillStyle = ink.caliper;
      pen.fillText(`${pin.author}: ${pin.text}`.slice(0, 48), x + 3, top + 10);
    }
  }
};

const STRIP_ROW = 9; // pixels of one lane of windows

const drawStrip = (state, sheet, mm) => {
  const canvas = state.part("strip");
  const { attribution } = state.data;
  canvas.hidden = !attribution || Boolean(attribution.problem);
  if (canvas.hidden) return;
  const found = lanesOf(attribution, recording(state).number);
  const lanes = 1 + Math.max(0, ...found.map((one) => one.lane));
  const pen = fitted(canvas, sheet.width * mm, lanes * STRIP_ROW + 2);
  pen.fillStyle = state.ink.paper;
  pen.fillRect(0, 0, sheet.width * mm, lanes * STRIP_ROW + 2);
  const { x, t0, width } = sheet.strip;
  pen.save();
  pen.beginPath();
  pen.rect(x * mm, 0, width * mm, lanes * STRIP_ROW + 2);
  pen.clip();
  for (const { row, start, end, lane } of found) {
    const weight = weightOf(state, row);
    if (!weight) continue;
    const [from, to] = [start, end].map((t) => (x + (t - t0) * state.speed) * mm);
    pen.fillStyle = weight.colour;
    pen.fillRect(from, 1 + lane * STRIP_ROW, to - from, STRIP_ROW - 1);
  }
  pen.restore();
};

const drawOverview = (state, sheet, mm) => {
  const canvas = state.part("overview");
  const { ink, whole } = state;
  const width = sheet.width * mm;
  const height = 34;
  const pen = fitted(canvas, width, height);
  pen.fillStyle = ink.paper;
  pen.fillRect(0, 0, width, height);
  const seconds = lengthOf(state);
  const x = (t) => t / seconds * width;
  if (whole && whole.name === viewName(state)) {
    const { columns, each, values } = whole.part;
    const finite = values.filter(Number.isFinite);
    const [low, high] = [finite.reduce((a, b) => Math.min(a, b), Infinity),
      finite.reduce((a, b) => Math.max(a, b), -Infinity)];
    const sign = isEeg(state) ? -1 : 1;
    const y = (v) => height / 2 - sign * ((v - low) / (high - low || 1) - 0.5) * (height - 10);
    pen.strokeStyle = ink.quiet;
    pen.lineWidth = 1;
    pen.beginPath();
    let open = false;
    for (let k = 0; k < columns * each; k += 1) {
      const at = x((Math.floor(k / each) + 0.5) / columns * seconds);
      if (!Number.isFinite(values[k])) { open = false; continue; }
      pen[open ? "lineTo" : "moveTo"](at, y(values[k]));
      open = true;
    }
    pen.stroke();
  }
  const { attribution } = state.data;
  if (attribution && !attribution.problem) {
    for (const { row, start, end } of lanesOf(attribution, recording(state).number)) {
      const weight = weightOf(state, row);
      if (weight) { pen.fillStyle = weight.colour; pen.fillRect(x(start), height - 4, x(end) - x(start), 4); }
    }
  }
  pen.strokeStyle = ink.caliper;
  pen.strokeRect(x(state.start) + 0.5, 0.5, Math.max(3, x(Math.min(spanOf(sheet), seconds)) - 1), height - 1);
};
