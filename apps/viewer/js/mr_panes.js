// Which image and map is in which pane, where their bytes come from, and how they are drawn.

const SQUARES = 8;  // of a checkerboard, along a side

class Panes {
  constructor(component) {
    this.send = component.setTriggerValue;
    this.data = component.data;
    this.panes = new Map();
    this.buffers = new Map();
    this.waiting = [];
  }

  /** Bring panes and maps in line with the choices; one at a time, the original first. */
  reload() {
    this.loading = (this.loading ?? Promise.resolve()).then(() => this.load()).catch((error) => this.say(String(error.message ?? error)));
    return this.loading;
  }

  async load() {
    const { data, state } = this;
    const compares = data.images.filter((image) => !image.problem).length > 1;
    const asked = [...data.shown, ...(compares ? [state.examined, state.compared] : [])];
    const wanted = data.images.filter((image) => asked.includes(image.role) || image.problem);
    const roles = [...wanted.map((image) => image.role), ...(compares && state.difference ? ["difference"] : [])];
    for (const [role, pane] of this.panes) if (!roles.includes(role)) { pane.close(); pane.element.remove(); this.panes.delete(role); }
    for (const role of roles) if (!this.panes.has(role)) this.panes.set(role, this.newPane(role));
    this.grid.replaceChildren(...roles.map((role) => this.panes.get(role).element));
    this.grid.dataset.panes = String(Math.min(roles.length, 6));
    this.library ??= await import(new URL(data.vendor["niivue.js"], location.origin).href);
    for (const image of wanted) {
      if (this.closed) return;
      const pane = this.panes.get(image.role);
      if (image.problem) pane.fail(image.problem);
      else if (!pane.nv) await this.fill(pane, image.role);
    }
    if (roles.includes("difference")) await this.fillDifference(this.panes.get("difference"));
    await this.fillMap();
    this.draw();
    this.root.dataset.ready = String(Number(this.root.dataset.ready ?? 0) + 1);
  }

  newPane(role) {
    const image = this.data.images.find((one) => one.role === role);
    const pane = image ? new Pane(role, image.title, image.words, this.data) : new Pane(role, "Absolute difference", "", this.data);
    pane.isDifference = !image;
    if (pane.isDifference) this.differenceLegend(pane);
    this.listen(pane);
    return pane;
  }

  differenceLegend(pane) {
    const { data } = this, high = data.differenceShare * data.white;
    pane.element.append(make("div", { class: "legend" }, colourBar(data.colours.cividis),
      make("div", { class: "ends" }, make("span", { text: "0" }),
        make("span", { text: `fixed, ${Math.round(100 * data.differenceShare)} % of the white level` }), make("span", { text: short(high) }))));
  }

  async fill(pane, role) {
    try {
      const buffer = framed(await this.volume(role), this.state.frame, this.data.white);
      await pane.open(this.library, buffer, this.data.colours);
      this.applyWindow(pane);
      this.draw();
    } catch (error) {
      pane.fail(`Not shown: ${error.message}`);
    }
  }

  async fillDifference(pane) {
    const { state, data } = this, pair = `${state.examined} ${state.compared}`;
    if (pane.pair === pair) return;
    const unit = data.differenceShare * data.white;
    try {
      const buffer = difference(await this.volume(state.examined), await this.volume(state.compared), state.frame, unit);
      const look = { colormap: "page_cividis" };
      if (pane.nv) await pane.show(buffer, look);
      else await pane.open(this.library, buffer, data.colours, look);
      pane.pair = pair;
      const title = (role) => data.images.find((one) => one.role === role).title;
      const words = pane.element.querySelector(".words");
      words.textContent = words.title = `${title(state.examined)} minus ${title(state.compared)}`;
    } catch (error) {
      pane.fail(`Not shown: ${error.message}`);
    }
  }

  covered() { return this.panes.get(this.state.examined); }

  async fillMap() {
    const { state, data } = this, pane = this.covered();
    for (const other of this.panes.values()) if (other !== pane && other.overlay) { other.uncover(); other.map = ""; }
    if (!pane?.ready || (pane.map ?? "") === state.map) return;
    pane.map = state.map;
    if (!state.map) { pane.uncover(); return; }
    const map = data.maps.find((one) => one.role === state.map);
    try {
      await pane.cover(framed(await this.volume(map.role), state.frame, map.high, { absolute: true }), state.from);
    } catch (error) {
      pane.map = "";
      this.say(`The map is not shown: ${error.message}`);
    }
  }

  async volume(role) {
    if (!this.buffers.has(role)) this.buffers.set(role, await (await this.ask(`volume/${encodeURIComponent(role)}.nii`)).arrayBuffer());
    return this.buffers.get(role);
  }

  /** Ask a route; a ticket that has run out is renewed once by the page. */
  async ask(path, query) {
    let answer = await fetch(addressOf(this.data, path, query));
    if (answer.status === 403) {
      await this.renewed();
      answer = await fetch(addressOf(this.data, path, query));
    }
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  }

  renewed() {
    this.send("renew", Date.now());
    return new Promise((done) => { this.waiting.push(done); setTimeout(done, 15_000); });
  }

  draw() { this.later("draw", () => this.drawNow()); }

  /** At most one of each kind for each picture of the display. */
  later(kind, work) {
    this.asked ??= new Map();
    if (!this.asked.size) requestAnimationFrame(() => {
      const asked = [...this.asked.values()];
      this.asked.clear();
      for (const one of asked) one();
    });
    this.asked.set(kind, work);
  }

  drawNow() {
    const { state } = this;
    if (!this.root.isConnected) return;
    for (const pane of this.panes.values()) {
      pane.fit();
      pane.draw(state);
      drawMarks(pane, state);
    }
    this.compare();
    this.slice.value = state.at[0] + 1;
    this.sliceWords.textContent = `${state.at[0] + 1} of ${state.frame.size[2]}`;
    this.spark?.show(state.at[0]);
    this.readOut();
    if (this.data.samples.length) this.showMask();
    this.root.dataset.slice = String(state.at[0]);
    this.root.dispatchEvent(new CustomEvent("mr-drawn"));
  }

  /** The mask of the slice on the screen: one for all, or one each. */
  showMask() {
    const { samples } = this.data, number = samples.length > 1 ? Math.min(this.state.at[0], samples.length - 1) : 0;
    if (this.maskShown === number) return;
    this.maskShown = number;
    const [taken, all] = samples[number];
    this.mask.src = addressOf(this.data, `mask/${number}.png`).href;
    this.maskWords.textContent = `${taken} of ${all} positions of k-space, acceleration ${(all / Math.max(taken, 1)).toFixed(2)}.`;
  }

  /** Swipe, flicker and checkerboard: the compared image above the examined one. */
  compare() {
    const { state } = this, [pane, other] = [this.panes.get(state.examined), this.panes.get(state.compared)];
    for (const one of this.panes.values()) one.clearOver();
    const mode = this.flicker ? "flicker" : state.mode;
    if (!pane?.ready || !other?.ready || pane === other || mode === "side" || (mode === "flicker" && !this.flicker)) return;
    const { width, height } = pane.over, context = pane.over.getContext("2d"), path = new Path2D();
    if (mode === "flicker") path.rect(0, 0, width, height);
    if (mode === "swipe") path.rect(state.divider * width, 0, width, height);
    if (mode === "checker") for (let number = 0; number < SQUARES ** 2; number++) {
      const [row, column] = [Math.floor(number / SQUARES), number % SQUARES];
      if ((row + column) % 2) path.rect(column * width / SQUARES, row * height / SQUARES, width / SQUARES, height / SQUARES);
    }
    pane.isCompared = true;
    context.save();
    context.clip(path);
    other.nv.drawScene();  // its pixels last until this task ends
    context.drawImage(other.gl, 0, 0, width, height);
    context.restore();
    const title = (role) => this.data.images.find((one) => one.role === role).title;
    if (mode === "swipe") {
      context.fillStyle = COLOURS.region;
      context.fillRect(state.divider * width - 1, 0, 2, height);
      pane.said.textContent = `${title(state.examined)} | ${title(state.compared)}`;
    } else if (mode === "flicker") pane.said.textContent = `now: ${title(state.compared)}`;
    else pane.said.textContent = `${title(state.examined)} and ${title(state.compared)} in squares`;
  }

  say(words) { this.status.textContent = words; }
}
