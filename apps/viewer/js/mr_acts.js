// What a reader does: by pointer, wheel and key.

const JUMP = 5, ZOOM_STEP = 1.25, MOST_ZOOM = 32;

class Reader extends Controls {
  goTo(at) {
    this.state.at = nearestVoxel(this.state.frame, at);
    this.draw();
    this.stayAwake();
  }

  /** Tell the page of a reader who goes through slices, windows or zooms, which it does not see. */
  stayAwake() {
    this.heardAt ??= Date.now();
    if (Date.now() - this.heardAt < RENEW_MS) return;
    this.heardAt = Date.now();
    this.send("renew", this.heardAt);
  }

  step(count, axis = 0) {
    const at = [...this.state.at];
    at[axis] += count;
    this.goTo(at);
  }

  worst() {
    const one = this.data.slices[this.state.series];
    if (one?.worst !== null && one) this.goTo([one.worst, this.state.at[1], this.state.at[2]]);
  }

  setWindow(change) {
    Object.assign(this.state, change);
    const { state } = this;
    this.level.value = Number(state.level.toFixed(1));
    this.width.value = Number(state.width.toFixed(1));
    this.presetWords();
    this.invert.box.checked = state.invert;
    this.smooth.box.checked = state.smooth;
    this.isWindowAsked = true;
    this.stayAwake();
    this.windowing ??= this.applyWindows();
  }

  /** One window after another, each when the device is done: the newest, and never a queue of them. */
  async applyWindows() {
    while (this.isWindowAsked) {
      this.isWindowAsked = false;
      for (const pane of this.panes.values()) this.applyWindow(pane);
      this.draw();
      await Promise.all([...this.panes.values()].map((pane) => pane.idle()));
    }
    this.windowing = null;
  }

  applyWindow(pane) {
    const { level, width, invert, smooth } = this.state;
    pane.window((level - width / 2) / 100, (level + width / 2) / 100, invert, smooth);
  }

  resetView() {
    this.state.zoom = 1;
    this.state.pan = [0, 0, 0];
    this.draw();
  }

  /** Zoom about a place of the volume, which stays where it is on the screen. */
  zoom(factor, share = shareOf(this.state.frame, this.state.at)) {
    const pane = [...this.panes.values()].find((one) => one.ready), { state } = this;
    if (!pane) return;
    const zoom = Math.min(Math.max(state.zoom * factor, 1), MOST_ZOOM), place = pane.nv.frac2mm(share);
    state.pan = state.pan.map((pan, axis) => (zoom === 1 ? 0 : pan + place[axis] * (state.zoom - zoom)));
    state.zoom = zoom;
    this.draw();
    this.stayAwake();
  }

  clear() {
    Object.assign(this.state, { region: null, measured: null, measuredWords: "" });
    this.numbers.replaceChildren();
    this.say("");
    this.draw();
  }

  pin(at = this.state.at) {
    this.send("pin", { kind: "pin", space: "voxel", at: at.map(hundredths), lead: null });
    this.say(`Pin on slice ${Math.round(at[0]) + 1}, row ${Math.round(at[1]) + 1}, column ${Math.round(at[2]) + 1}, counted from 1.`);
  }

  fileShape() {
    const { region } = this.state;
    if (!region) { this.say("Draw a region first."); return; }
    const ring = corners(region).map(([, row, column]) => [hundredths(column), hundredths(row)]);
    this.send("shape", { kind: "shape", geometry: { type: "Polygon", coordinates: [[...ring, ring[0]]] }, plane: region.plane });
    this.say(`Region of slice ${region.plane + 1} handed over as annotation.`);
  }

  listen(pane) {
    const { view } = pane;
    const place = (event) => {
      const box = view.getBoundingClientRect();
      return [(event.clientX - box.left) * pane.scale, (event.clientY - box.top) * pane.scale];
    };
    view.addEventListener("contextmenu", (event) => event.preventDefault());
    view.addEventListener("wheel", (event) => { event.preventDefault(); this.wheel(pane, event, place(event)); }, { passive: false });
    view.addEventListener("pointerdown", (event) => {
      this.root.focus({ preventScroll: true });
      view.setPointerCapture(event.pointerId);
      this.drag = this.begin(pane, event, place(event));
      event.preventDefault();
    });
    view.addEventListener("pointermove", (event) => {
      if (this.drag) this.drag.move(place(event));
      this.pointed(pane, place(event));
    });
    view.addEventListener("pointerleave", () => this.pointed(null));
    view.addEventListener("pointerup", (event) => { this.drag?.end?.(place(event)); this.drag = null; });
    view.addEventListener("pointercancel", () => { this.drag = null; });
    view.addEventListener("dblclick", (event) => { const at = this.voxel(pane, place(event)); if (at) this.pin(at); });
  }

  voxel(pane, [x, y], tile = pane.ready ? tileAt(pane.nv, x, y) : null) {
    if (!tile) return null;
    return voxelOf(this.state.frame, belowCanvas(pane.nv, tile, x, y, shareOf(this.state.frame, this.state.at)));
  }

  begin(pane, event, start) {
    const { state } = this;
    if (!pane.ready) return null;
    const tile = tileAt(pane.nv, ...start);
    if (event.button === 2) {
      const { level, width } = state, size = Math.max(pane.gl.height, 1), limit = this.data.limit;
      return { move: ([x, y]) => this.setWindow({
        width: Math.min(Math.max(width + 100 * (x - start[0]) / size, 0.1), limit),
        level: Math.min(Math.max(level - 100 * (y - start[1]) / size, 0), limit) }) };
    }
    if (!tile) return null;
    if (event.button === 1 || event.shiftKey) return this.panning(pane, tile, start);
    if (state.mode === "swipe" && pane.role === state.examined && Math.abs(start[0] / pane.gl.width - state.divider) < 0.03) {
      return { move: ([x]) => { state.divider = Math.min(Math.max(x / pane.gl.width, 0), 1); this.draw(); } };
    }
    if (state.tool === "cross") {
      const move = (at) => { const found = this.voxel(pane, at, tile); if (found) this.goTo(found); };
      move(start);
      return { move };
    }
    const first = this.voxel(pane, start, tile);
    return state.tool === "distance" ? this.measuring(pane, tile, first) : this.marking(pane, tile, first);
  }

  panning(pane, tile, start) {
    const { state } = this, pan = [...state.pan];
    const [, , width, height] = drawnBox(pane.nv, tile), [across, up] = ACROSS[tile.axCorSag];
    return { move: ([x, y]) => {
      state.pan = [...pan];
      state.pan[across] += (x - start[0]) / width * tile.fovMM[0] * state.zoom;
      state.pan[up] -= (y - start[1]) / height * tile.fovMM[1] * state.zoom;
      this.draw();
    } };
  }

  measuring(pane, tile, first) {
    const { state } = this;
    return { move: (at) => {
      state.measured = [first, this.voxel(pane, at, tile)];
      const mm = distance(state.frame, ...state.measured);
      state.measuredWords = mm === null ? "voxel size unknown: not measured" : `${mm.toFixed(1)} mm`;
      this.say(`Distance: ${state.measuredWords}`);
      this.root.dataset.distance = mm === null ? "unknown" : String(mm);
      this.draw();
    } };
  }

  marking(pane, tile, first) {
    const { state } = this;
    if (tile.axCorSag !== state.frame.native) { this.say("Regions are counted on the stored slices: draw in that plane."); return null; }
    return {
      move: (at) => {
        const last = this.voxel(pane, at, tile);
        // As it is filed, so that the pixels that are counted are those that a file will hold.
        const [[top, bottom], [left, right]] = [1, 2].map(
          (axis) => [hundredths(first[axis]), hundredths(last[axis])].sort((a, b) => a - b));
        this.numbers.replaceChildren();  // of another region
        state.region = { plane: state.at[0], shape: state.tool, top, bottom, left, right };
        this.draw();
      },
      end: () => this.count(),
    };
  }

  /** Ask for the true numbers of the region, of every image and of the map that is shown. */
  async count() {
    const { region, map } = this.state;
    if (!region || region.top >= region.bottom || region.left >= region.right) return;
    const images = this.data.images.filter((image) => !image.problem).map(({ role, title }) => [role, title]);
    const chosen = this.data.maps.find((one) => one.role === map);
    try {
      const rows = [];
      for (const [role, title] of [...images, ...(chosen ? [[chosen.role, chosen.title]] : [])]) {
        try { rows.push([role, title, await (await this.ask(`region/${encodeURIComponent(role)}`, region)).json()]); }
        catch { rows.push([role, title, null]); }
      }
      if (region === this.state.region) this.numbers.replaceChildren(this.table(region, rows));
    } catch (error) {
      this.say(`The region was not counted: ${error.message}`);
    }
  }

  table(region, rows) {
    const head = ["Image", "Mean", "SD", "Least", "Largest", "Pixels", "Unit"];
    const cells = (found) => (found
      ? [short(found.mean), short(found.deviation), short(found.least), short(found.largest), String(found.pixels), found.unit ?? "unknown"]
      : ["not counted", "–", "–", "–", "–", "–"]);
    return make("table", { class: "region" },
      make("caption", { text: `Region (${region.shape}) on slice ${region.plane + 1}, from the stored values` }),
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col", text })))),
      make("tbody", {}, ...rows.map(([role, title, found]) => make("tr", { "data-role": role },
        make("th", { scope: "row", text: title }), ...cells(found).map((text) => make("td", { text }))))));
  }

  wheel(pane, event, [x, y]) {
    if (!pane.ready || !event.deltaY) return;
    const tile = tileAt(pane.nv, x, y), { frame, at } = this.state;
    if (event.ctrlKey) {
      if (tile) this.zoom(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, belowCanvas(pane.nv, tile, x, y, shareOf(frame, at)));
      return;
    }
    const axis = tile ? 2 - frame.axes[[2, 1, 0][tile.axCorSag]] : 0;
    this.step(Math.sign(event.deltaY), axis);
  }

  key(event) {
    if (isOfOthers(event) || isTyped(event)) return;
    if (event.target.tagName === "INPUT" && event.key.length > 1) return;  // arrows move a slider
    const work = this.keys()[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!work) return;
    event.preventDefault();
    event.stopPropagation();  // the page has keys of its own, C clears its cache
    if (!event.repeat || work.repeats) work.do();
  }

  keys() {
    const { state } = this, last = state.frame.size[2] - 1;
    const steps = (count) => ({ repeats: true, do: () => this.step(count) });
    const zoom = (factor) => ({ repeats: true, do: () => this.zoom(factor) });
    const to = (slice) => ({ do: () => this.goTo([slice, state.at[1], state.at[2]]) });
    const pick = (tool) => ({ do: () => { state.tool = this.tool.value = tool; } });
    const mode = (name) => ({ do: () => { if (this.mode) { state.mode = this.mode.value = state.mode === name ? "side" : name; this.draw(); } } });
    return {
      ArrowUp: steps(-1), ArrowDown: steps(1), PageUp: steps(-JUMP), PageDown: steps(JUMP), Home: to(0), End: to(last),
      "+": zoom(ZOOM_STEP), "=": zoom(ZOOM_STEP), "-": zoom(1 / ZOOM_STEP),
      0: { do: () => this.resetView() }, w: { do: () => this.worst() },
      t: { do: () => { state.three = this.three.box.checked = !state.three; this.draw(); } },
      h: { do: () => { state.crosshair = this.cross.box.checked = !state.crosshair; this.draw(); } },
      f: { do: () => { this.flicker = true; this.draw(); } }, o: { do: () => { this.held ??= state.opacity; state.opacity = 0; this.draw(); } },
      s: mode("swipe"), b: mode("checker"), i: { do: () => this.setWindow({ invert: !state.invert }) },
      x: pick("cross"), r: pick("ellipse"), d: pick("distance"), Escape: { do: () => { if (this.help.hidden) this.clear(); else this.toggleHelp(); } },
      c: { do: () => this.pin() }, a: { do: () => this.fileShape() }, "?": { do: () => this.toggleHelp() },
    };
  }

  released(key) {
    if (key === "f" && this.flicker) { this.flicker = false; this.draw(); }
    if (key === "o" && this.held !== undefined) { this.state.opacity = this.held; this.held = undefined; this.draw(); }
  }
}
