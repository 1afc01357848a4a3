// The sheet of the signal screen: where every lead and every millimetre lies, and how it is drawn.

const CARD_MM = 85.6; // ISO/IEC 7810 ID-1, a bank card
const KEPT = "medconsist.signal.device_pixels_a_mm";
const LEFT_MM = 15; // for the calibration pulse; a multiple of the thick grid
const LEFT_ROWS_MM = 20; // and for names beside it
const EDGE_MM = 10; // above the first row and below the last
const ROWS = [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"]];
const RHYTHM = "II";
const ROW_MM = 40;
const FIRST_MM = 25; // the middle of the first row: 1 mV fits at every gain
const OWN_MM = 20; // height of a lead without a unit
const PULSE_S = 0.2;
const DARK = {
  paper: "#0b0d10", thin: "#231c20", thick: "#5a3a42", ink: "#e6e9ec", quiet: "#a9b4be",
  warn: "#f2c14e", caliper: "#7fc8ff", mark: "rgba(242,193,78,.18)",
};
const LIGHT = {
  paper: "#fffaf8", thin: "#f6dcd6", thick: "#e0958a", ink: "#111", quiet: "#4a4a4a",
  warn: "#8a4b00", caliper: "#00528c", mark: "rgba(200,140,0,.18)",
};
const SIGNED = ["#8073ac", "#d8daeb", "#e08214"].map(
  (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));

const scale = () => {
  let kept = NaN;
  try { kept = Number(localStorage.getItem(KEPT)); } catch { /* a browser without a memory */ }
  const calibrated = kept > 0.5 && kept < 100;
  return { calibrated, pixels: calibrated ? kept / devicePixelRatio : 96 / 25.4 };
};
const keepScale = (pixels) => {
  try {
    if (pixels === null) localStorage.removeItem(KEPT);
    else localStorage.setItem(KEPT, String(pixels * devicePixelRatio));
  } catch { /* then it holds until the page is closed: not at all */ }
};

const colourAt = (stops, share) => {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const mixed = stops[low].map((one, k) => one + (at - low) * (stops[low + 1][k] - one));
  return `rgb(${mixed.map(Math.round).join(" ")})`;
};

const recording = (state) => state.data.recordings[state.recording];
const montage = (state) => recording(state).montages.find((one) => one.name === state.montage);
const isEeg = (state) => recording(state).kind === "eeg";
const speeds = (state) => (isEeg(state) ? state.data.eeg.speeds : state.data.paper.speeds);
const gains = (state) => (isEeg(state) ? state.data.eeg.gains : state.data.paper.gains);
const lengthOf = (state) => recording(state).samples / recording(state).rate;

// Millimetres upwards of one unit of the samples; null where there is no voltage scale.
const mmPerUnit = (state) => {
  const { millivolts } = recording(state);
  if (millivolts === null) return null;
  return isEeg(state) ? -millivolts * 1000 / state.gain : millivolts * state.gain;
};

const sheetOf = (state, pixels, mm) => {
  const { channels } = montage(state);
  const left = state.layout === "paper" ? LEFT_MM : LEFT_ROWS_MM;
  const wide = Math.max(20, Math.floor((pixels / mm - left - 1) / 5) * 5);
  const panel = (lead, channel, x, width, middle, t0) =>
    ({ lead, channel, x, width, middle, t0, seconds: width / state.speed });
  if (state.layout === "paper") {
    const column = Math.min(62.5, Math.floor(wide / 4 / 2.5) * 2.5);
    const panels = ROWS.flatMap((names, row) => names.map((lead, k) => panel(
      lead, channels.indexOf(lead), LEFT_MM + k * column, column, FIRST_MM + row * ROW_MM,
      state.start + k * column / state.speed)));
    const rhythm = channels.includes(RHYTHM) ? RHYTHM : channels[0];
    const strip = panel(rhythm, channels.indexOf(rhythm), LEFT_MM, 4 * column, FIRST_MM + 3 * ROW_MM,
      state.start);
    return { panels: [...panels, strip], strip, width: LEFT_MM + 4 * column, height: FIRST_MM + 3.5 * ROW_MM,
      apart: ROW_MM };
  }
  const apart = Math.min(ROW_MM, Math.max(6, 160 / channels.length));
  const panels = channels.map(
    (lead, k) => panel(lead, k, left, wide, EDGE_MM + (k + 0.5) * apart, state.start));
  const height = Math.ceil((apart * channels.length + 2 * EDGE_MM) / 5) * 5;
  return { panels, strip: panels[0], width: left + wide, height, apart };
};

const spanOf = (sheet) => sheet.strip.seconds;

// The middle of what is seen; a recording may end before its sheet does.
const middleOf = (state) => (state.start + Math.min(lengthOf(state), state.start + spanOf(state.sheet))) / 2;

// --- drawing ------------------------------------------------------------------------------------

const fitted = (canvas, width, height) => {
  const ratio = devicePixelRatio;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  [canvas.style.width, canvas.style.height] = [`${w / ratio}px`, `${h / ratio}px`];
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
};

const crisp = (at) => (Math.floor(at * devicePixelRatio) + 0.5) / devicePixelRatio;

const lines = (pen, colour, points) => {
  pen.strokeStyle = colour;
  pen.lineWidth = 1 / devicePixelRatio;
  pen.beginPath();
  for (const [x0, y0, x1, y1] of points) { pen.moveTo(x0, y0); pen.lineTo(x1, y1); }
  pen.stroke();
};

const drawGrid = (pen, state, sheet, mm) => {
  const { ink } = state;
  const bottom = sheet.height * mm;
  const right = sheet.width * mm;
  const upright = (step, from) => {
    const found = [];
    for (let x = from; x <= sheet.width + 1e-6; x += step) {
      found.push([crisp(x * mm), 0, crisp(x * mm), bottom]);
    }
    return found;
  };
  const level = (step) => {
    if (mmPerUnit(state) === null) return [];
    const found = [];
    for (let y = 0; y <= sheet.height + 1e-6; y += step) {
      found.push([0, crisp(y * mm), right, crisp(y * mm)]);
    }
    return found;
  };
  if (isEeg(state)) { // lines of time: a second and a fifth, whole ones of the recording
    const { x, t0 } = sheet.strip;
    const first = (step) => x + (Math.ceil(t0 / step - 1e-9) * step - t0) * state.speed;
    lines(pen, ink.thin, upright(0.2 * state.speed, first(0.2)));
    lines(pen, ink.thick, upright(state.speed, first(1)));
    return;
  }
  lines(pen, ink.thin, [...upright(1, 0), ...level(1)]);
  lines(pen, ink.thick, [...upright(5, 0), ...level(5)]);
};

const drawPulse = (pen, state, sheet, mm) => {
  if (mmPerUnit(state) === null) return;
  pen.strokeStyle = state.ink.ink;
  pen.lineWidth = 1.2;
  if (isEeg(state)) { // a bar of ten millimetres with what it stands for
    pen.strokeRect(3 * mm, 2 * mm, 0.01, 10 * mm);
    pen.fillStyle = state.ink.quiet;
    pen.fillText(`${10 * state.gain} µV`, 4 * mm, 5 * mm);
    return;
  }
  const width = PULSE_S * state.speed;
  const rows = state.layout === "paper" ? sheet.panels : sheet.panels.slice(0, 1);
  for (const middle of new Set(rows.map((one) => one.middle))) {
    pen.beginPath();
    pen.moveTo(1.5 * mm, middle * mm);
    for (const [dx, dy] of [[1, 0], [1, -state.gain], [1 + width, -state.gain], [1 + width, 0],
      [2 + width, 0]]) pen.lineTo((1.5 + dx) * mm, (middle + dy) * mm);
    pen.stroke();
  }
};

// A trace is drawn about its median in what is shown; without a unit, from its least to its largest.
const heightOf = (state, panel, sheet) => {
  const [low, median, high] = state.samples.quantiles(panel.channel, state.start,
    state.start + spanOf(sheet));
  const known = mmPerUnit(state);
  const own = (state.layout === "paper" ? OWN_MM : 0.8 * sheet.apart) / (high - low || 1);
  if (known !== null) return { median, factor: known };
  return { median: (low + high) / 2, factor: isEeg(state) ? -own : own };
};

const drawTrace = (pen, state, panel, sheet, mm) => {
  const { ink } = state;
  pen.fillStyle = ink.ink;
  const isPaper = state.layout === "paper";
  if (isPaper) {
    pen.font = `600 ${Math.round(3.4 * mm)}px sans-serif`;
    pen.fillText(panel.lead, (panel.x + 1) * mm, (panel.middle - 13) * mm);
  } else {
    pen.font = `${Math.round(2.9 * mm)}px sans-serif`;
    pen.textAlign = "right";
    pen.fillText(panel.lead, (panel.x - 1) * mm, (panel.middle + 1) * mm, (LEFT_ROWS_MM - 9) * mm);
    pen.textAlign = "left";
  }
  if (panel.channel < 0) {
    pen.font = `${Math.round(2.8 * mm)}px sans-serif`;
    pen.fillStyle = ink.warn;
    pen.fillText("not recorded", (panel.x + 1) * mm, (panel.middle - 8) * mm);
    return;
  }
  if (isPaper && panel.t0 > state.start) { // where one lead ends and the next begins
    lines(pen, ink.ink, [[panel.x * mm, (panel.middle - 16) * mm, panel.x * mm,
      (panel.middle - 12) * mm]]);
  }
  const { median, factor } = heightOf(state, panel, sheet);
  const x = (time) => (panel.x + (time - panel.t0) * state.speed) * mm;
  const y = (value) => (panel.middle - (value - median) * factor) * mm;
  pen.save();
  pen.beginPath();
  pen.rect(panel.x * mm, 0, panel.width * mm, sheet.height * mm);
  pen.clip();
  pen.strokeStyle = ink.ink;
  pen.lineWidth = 1.1;
  pen.lineJoin = "round";
  pen.beginPath();
  state.samples.trace(panel.channel, panel.t0, panel.t0 + panel.seconds, pen, x, y);
  pen.stroke();
  pen.restore();
};

const lanesOf = (windows, number) => {
  const ends = [];
  return windows.start.flatMap((start, row) => {
    if (windows.recording[row] !== number) return [];
    let lane = ends.findIndex((end) => end <= start + 1e-9);
    if (lane < 0) lane = ends.length;
    ends[lane] = start + windows.seconds;
    return [{ row, start, end: start + windows.seconds, lane }];
  });
};

const stopsOf = (state) => (state.evidence === "attention" ? state.data.viridis : SIGNED);

const weightOf = (state, row) => {
  const { attribution } = state.data;
  const value = attribution[state.evidence][row];
  if (value === null) return null;
  const finite = attribution[state.evidence].map((one) => Math.abs(one ?? 0));
  const most = Math.max(...finite, state.evidence === "attention" ? 2 : 1e-6);
  const share = state.evidence === "attention" ? value / most : 0.5 + value / most / 2;
  return { value, most, colour: colourAt(stopsOf(state), share) };
};
