// The samples of the signal screen: asked for in parts that are wider than what is seen, then kept.

const decoded = (buffer, start, stop) => {
  const [version, channels, columns, each] = new Uint32Array(buffer, 0, 4);
  if (version !== 1) throw new Error("samples of another version: load the page again");
  return { channels, columns, each, start, stop, values: new Float32Array(buffer, 16) };
};

class Samples {
  constructor(changed) {
    this.changed = changed;
    this.part = null;
    this.name = "";
    this.problem = "";
    this.asked = null;
    this.refused = "";
    this.known = new Map();
  }

  // Take care that a stretch of seconds is there; draws again when it has come.
  async want(state, from, to) {
    const { rate, samples } = recording(state);
    const [start, stop] = [Math.max(0, Math.floor(from * rate)),
      Math.min(samples, Math.ceil(to * rate) + 1)];
    const name = viewName(state);
    if (name !== this.name) { this.part = null; this.problem = ""; }
    const has = (one) => one && one.start <= start && one.stop >= stop;
    if (has(this.part) && name === this.name) return;
    if (this.asked && this.asked.name === name && has(this.asked)) return;
    const question = `${name} ${start} ${stop} ${state.data.ticket}`;
    if (this.refused === question) return; // nothing has changed, so the answer would not
    this.name = name;
    this.asked?.abort.abort();
    const spare = stop - start;
    const asked = { name, start: Math.max(0, start - spare), stop: Math.min(samples, stop + spare),
      abort: new AbortController() };
    const most = Math.floor(state.data.most / montage(state).channels.length / 2);
    const thin = asked.stop - asked.start > most ? { points: Math.min(most, 4000) } : {};
    this.asked = asked;
    try {
      const query = { start: asked.start, stop: asked.stop, ...thin, ...viewOf(state) };
      const answer = await askFor(state, "samples", query, { signal: asked.abort.signal });
      if (!answer.ok) throw new Error(await answer.text());
      this.part = decoded(await answer.arrayBuffer(), asked.start, asked.stop);
      this.problem = "";
    } catch (error) {
      if (error.name === "AbortError") return;
      this.problem = `Not drawn: ${error.message}`;
      this.refused = question;
    }
    this.known.clear();
    this.rate = rate;
    if (this.asked === asked) this.asked = null;
    this.changed();
  }

  get isReady() { return this.part !== null; }

  // Where a column begins, in samples of the recording.
  at(column) {
    const { start, stop, columns, each } = this.part;
    return each === 1 ? start + column : start + Math.floor(column * (stop - start) / columns);
  }

  columnAt(seconds, rate) {
    const { start, stop, columns } = this.part;
    const share = (seconds * rate - start) / (stop - start);
    return Math.min(Math.max(Math.floor(share * columns), 0), columns - 1);
  }

  values(channel) {
    const { columns, each, values } = this.part;
    return values.subarray(channel * columns * each, (channel + 1) * columns * each);
  }

  // Least, median and largest of what is shown of a channel.
  quantiles(channel, from, to) {
    if (!this.part) return [0, 0, 0];
    const name = `${channel} ${from} ${to}`;
    if (!this.known.has(name)) {
      if (this.known.size > 200) this.known.clear();
      const { each } = this.part;
      const rate = this.rateOf();
      const seen = this.values(channel).slice(
        this.columnAt(from, rate) * each, (this.columnAt(to, rate) + 1) * each);
      const sorted = seen.filter(Number.isFinite).sort();
      const { length } = sorted;
      const middle = (sorted[(length - 1) >> 1] + sorted[length >> 1]) / 2;
      this.known.set(name, length ? [sorted[0], middle, sorted[length - 1]] : [0, 0, 0]);
    }
    return this.known.get(name);
  }

  rateOf() { return this.rate; }

  // Add a stretch of a channel to a path; where many samples fall on a pixel, its extremes.
  trace(channel, from, to, pen, x, y) {
    if (!this.part) return;
    const rate = this.rateOf();
    const { each, columns } = this.part;
    const values = this.values(channel);
    const first = Math.max(0, this.columnAt(from, rate) - 1);
    const last = Math.min(columns - 1, this.columnAt(to, rate) + 1);
    const pixel = (column) => Math.floor(x(this.at(column) / rate) * devicePixelRatio);
    let open = false;
    for (let column = first; column <= last;) {
      const here = pixel(column);
      let [low, high, start, end, newest] = [Infinity, -Infinity, NaN, NaN, NaN];
      const begin = column;
      do {
        for (let k = 0; k < each; k += 1) {
          newest = values[column * each + k];
          if (!Number.isFinite(newest)) { open &&= !Number.isNaN(start); continue; }
          if (Number.isNaN(start)) start = newest;
          [low, high, end] = [Math.min(low, newest), Math.max(high, newest), newest];
        }
        column += 1;
      } while (column <= last && pixel(column) === here);
      if (high < low) continue;
      const at = x(this.at(begin) / rate);
      const draw = open ? "lineTo" : "moveTo";
      pen[draw](at, y(start));
      if (column - begin > 1 || each > 1) { pen.lineTo(at, y(low)); pen.lineTo(at, y(high)); pen.lineTo(at, y(end)); }
      if (!open && column - begin === 1) pen.lineTo(at, y(end));
      open = Number.isFinite(newest);
    }
  }

  value(channel, seconds) {
    if (!this.part) return NaN;
    const column = this.columnAt(seconds, this.rateOf());
    return this.values(channel)[column * this.part.each];
  }

  // The sample farthest from the median within some seconds, as a time.
  peak(channel, seconds, within, median) {
    const rate = this.rateOf();
    const values = this.values(channel);
    let [best, far] = [seconds, -1];
    for (let column = this.columnAt(seconds - within, rate);
      column <= this.columnAt(seconds + within, rate); column += 1) {
      const away = Math.abs(values[column * this.part.each] - median);
      if (away > far) [best, far] = [this.at(column) / rate, away];
    }
    return best;
  }
}

// Montage and filter, as a route takes them.
const viewOf = (state) => Object.fromEntries(["montage", "above", "below", "notch"]
  .filter((name) => state[name]).map((name) => [name, state[name]]));
const viewName = (state) => `${state.recording} ${JSON.stringify(viewOf(state))}`;

const askFor = (state, what, query, options) =>
  fetch(addressOf(state.data, `signal/${recording(state).number}/${what}`, query), options);

const overviewOf = async (state, channel) => {
  const { samples } = recording(state);
  const query = { start: 0, stop: samples, points: 1200, channel, ...viewOf(state) };
  const answer = await askFor(state, "samples", query);
  return answer.ok ? decoded(await answer.arrayBuffer(), 0, samples) : null;
};
