// The controls above the panes and the evidence below them.

const KEYS = [
  ["wheel, ↑ ↓", "slice"], ["PgUp PgDn", "five slices"], ["Home End", "first, last slice"], ["W", "worst slice"],
  ["click, drag", "crosshair, or the chosen tool"], ["right drag", "level and width"], ["middle or shift drag", "pan"],
  ["ctrl wheel, + −", "zoom"], ["0", "whole image"], ["T", "three planes"], ["F held", "flicker to the compared image"],
  ["S", "swipe"], ["B", "checkerboard"], ["O held", "without the map"], ["I", "invert"], ["H", "crosshair on or off"],
  ["X", "crosshair tool"], ["R", "region"],
  ["D", "distance"], ["Esc", "clear measures"], ["C, double click", "pin a comment here"], ["A", "file the region as annotation"], ["?", "this list"],
  ["pointer", "place and values below the images; without it, those of the crosshair"],
];

const RESIDUAL = "Solid: misfit to the measured samples [sigma²]. Dashed: expected of this method. "
  + "An alarm for coil faults and spikes, never an image quality.";

/** Controls that belong together, behind the word for them. */
function group(name, ...parts) {
  return make("div", { class: "group" }, make("span", { class: "label", text: name }), ...parts);
}

class Controls extends Readout {
  buildControls() {
    const { data } = this;
    const titles = data.images.filter((image) => !image.problem).map((image) => [image.role, image.title]);
    const groups = [this.buildSlices(), this.buildWindow()];
    if (titles.length > 1) groups.push(this.buildCompare(titles));
    groups.push(this.buildTools());
    if (data.maps.length) groups.push(this.buildMaps());
    if (titles.length > 1) groups.push(this.buildShown());
    groups.push(button("Keys ?", () => this.toggleHelp()));
    if (data.maps.length) groups.push(this.meaning);
    return make("div", { class: "controls" }, ...groups);
  }

  buildSlices() {
    const { state } = this, count = state.frame.size[2];
    this.slice = slider("Slice", 1, count, 1, state.at[0] + 1, (value) => this.goTo([value - 1, state.at[1], state.at[2]]));
    this.slice.disabled = count === 1;
    this.sliceWords = make("output", { class: "value" });
    this.three = tick("Three planes", state.three, (value) => { state.three = value; this.draw(); });
    this.cross = tick("Crosshair", state.crosshair, (value) => { state.crosshair = value; this.draw(); });
    return group("Slice", this.slice, this.sliceWords, this.three.element, this.cross.element);
  }

  buildWindow() {
    const { data, state } = this, presets = Object.keys(data.presets).map((name) => [name, name]);
    const tenth = (name) => () => Number(state[name].toFixed(1));
    this.preset = choice("Window preset", [["", "own"], ...presets], "", (name) => {
      if (name) this.setWindow(data.presets[name]);
      else this.presetWords();
    });
    this.level = numberField("Level [%]", 0, data.limit, 1, tenth("level"), (value) => this.setWindow({ level: value }));
    this.width = numberField("Width [%]", 0.1, data.limit, 1, tenth("width"), (value) => this.setWindow({ width: value }));
    this.invert = tick("Invert", state.invert, (value) => this.setWindow({ invert: value }));
    this.smooth = tick("Smooth", state.smooth, (value) => this.setWindow({ smooth: value }));
    this.presetWords();
    return group("Window", this.preset, make("label", { text: "Level " }, this.level), make("label", { text: "Width " }, this.width),
      make("span", { class: "value", text: "%", title: "of the white level" }), this.invert.element, this.smooth.element);
  }

  /** Name the preset whose level and width are those of now. */
  presetWords() {
    const { data: { presets }, state } = this;
    this.preset.value = Object.keys(presets).find((name) => presets[name].level === state.level && presets[name].width === state.width) ?? "";
  }

  buildCompare(titles) {
    const { state } = this;
    const modes = [["side", "side by side"], ["swipe", "swipe"], ["flicker", "flicker (hold F)"], ["checker", "checkerboard"]];
    this.mode = choice("Compare by", modes, state.mode, (value) => { state.mode = value; this.draw(); });
    this.isDifferent = tick("Difference", state.difference, (value) => { state.difference = value; this.reload(); });
    return group("Compare", choice("Examined image", titles, state.examined, (value) => { state.examined = value; this.reload(); }),
      make("span", { class: "value", text: "with" }),
      choice("Compared image", titles, state.compared, (value) => { state.compared = value; this.reload(); }),
      this.mode, this.isDifferent.element);
  }

  buildTools() {
    const { state } = this;
    const tools = [["cross", "Point"], ["ellipse", "Region: ellipse"], ["rectangle", "Region: rectangle"], ["distance", "Distance"]];
    this.tool = choice("Tool", tools, state.tool, (value) => { state.tool = value; });
    return group("Tool", this.tool, button("Clear", () => this.clear()), button("Whole image", () => this.resetView()));
  }

  buildShown() {
    const { images } = this.data, summary = make("summary");
    const count = () => { summary.textContent = `Panes: ${this.data.shown.length} of ${images.length}`; };
    const ticks = images.map((image) => tick(image.title, this.data.shown.includes(image.role), (value) => {
      this.data.shown = images.map((one) => one.role).filter((role) => (role === image.role ? value : this.data.shown.includes(role)));
      count();
      this.reload();
    }).element);
    count();
    return folded(summary, ...ticks);
  }

  buildMaps() {
    const { data, state } = this;
    const options = [["", "no map"], ...data.maps.filter((map) => !map.problem).map((map) => [map.role, map.title])];
    const start = data.maps.find((map) => map.role === state.map);
    state.from = start ? start.showFrom : 0;
    this.opacity = slider("Opacity", 0, 1, 0.01, state.opacity, (value) => { state.opacity = value; this.draw(); });
    this.from = slider("Show from", 0, 1, 0.01, state.from, (value) => {
      state.from = value;
      this.mapWords();
      this.later("from", () => { this.covered()?.showFrom(value); this.draw(); });
    });
    this.low = make("span"); this.high = make("span"); this.middle = make("span"); this.meaning = make("p", { class: "meaning" });
    this.mapChoice = choice("Evidence map", options, state.map, (value) => {
      state.map = value;
      state.from = data.maps.find((map) => map.role === value)?.showFrom ?? 0;
      this.from.value = state.from;
      this.mapWords();
      this.reload();
    });
    this.legend = make("div", { class: "legend" }, colourBar(data.colours.viridis), make("div", { class: "ends" }, this.low, this.middle, this.high));
    this.mapWords();
    const made = group("Map", this.mapChoice, make("label", { text: "Opacity " }, this.opacity),
      make("label", { text: "Show from " }, this.from), this.legend);
    made.classList.add("maps");
    return made;
  }

  mapWords() {
    const map = this.data.maps.find((one) => one.role === this.state.map);
    this.legend.hidden = this.meaning.hidden = !map;
    if (!map) return;
    this.low.textContent = "0";
    this.high.textContent = short(map.high);
    this.middle.textContent = this.middle.title = `${map.unit}, shown from ${short(this.state.from * map.high)}`;
    this.meaning.textContent = map.meaning;
  }

  buildEvidence() {
    const { data } = this, parts = [];
    if (data.slices.length && data.frame.size[2] > 1) {
      const holder = make("div", { class: "card" });
      const titles = data.slices.map((one, at) => [at, one.title]);
      const pick = choice("Number of each slice", titles, 0, (value) => {
        this.state.series = Number(value);
        this.showSeries(holder, pick);
      });
      this.showSeries(holder, pick);
      parts.push(holder);
    }
    if (!data.sealed) {
      const curve = data.residual.length
        ? [residualCurve(data.residual), make("p", { class: "meaning", text: RESIDUAL })]
        : [make("p", { class: "meaning", text: "Residual by k-space radius: not stored in this result." })];
      parts.push(make("div", { class: "card" }, make("h3", { text: "Residual by k-space radius" }), ...curve));
    }
    this.mask = make("img", { class: "mask", alt: "Sampling mask, centre of k-space in the middle" });
    this.maskWords = make("p", { class: "meaning", text: "No sampling mask is stored." });
    parts.push(make("div", { class: "card" }, make("h3", { text: "Samples taken" }), ...(data.samples.length ? [this.mask] : []), this.maskWords));
    return make("div", { class: "evidence" }, ...parts);
  }

  showSeries(holder, pick) {
    const one = this.data.slices[this.state.series];
    this.spark = sparkline(one.values, {}, (index) => this.goTo([index, this.state.at[1], this.state.at[2]]));
    const worst = one.worst === null ? "none" : `slice ${one.worst + 1} (${short(one.values[one.worst])} ${one.unit})`;
    holder.replaceChildren(make("h3", { text: "Where to look first" }), pick, this.spark.element,
      make("p", { class: "meaning", text: `${one.words} Worst: ${worst}.` }),
      button("Worst slice (W)", () => this.worst()));
    this.spark.show(this.state.at[0]);
  }

  buildHelp() {
    const words = make("p", { class: "meaning", text: "While this part has the focus:" });
    return make("div", { class: "help", role: "dialog", "aria-label": "Keys", hidden: true }, words, keyList(KEYS));
  }

  toggleHelp() { this.help.hidden = !this.help.hidden; }
}
