// The MR screen: linked panes of one reconstruction, its evidence, and its measures.

const MOUNTS = new WeakMap();

class Screen extends Reader {
  constructor(root, component) {
    super(component);
    this.root = root;
    this.state = this.firstState();
    this.build();
    root.screen = this;  // for the tests and the bench
  }

  firstState() {
    const { data } = this, { frame } = data, auto = data.presets.Auto ?? { level: 50, width: 100 };
    const at = [data.start ?? Math.floor(frame.size[2] / 2), Math.floor(frame.size[1] / 2), Math.floor(frame.size[0] / 2)];
    return {
      frame, at, level: auto.level, width: auto.width, invert: false, smooth: true, three: false, zoom: 1, pan: [0, 0, 0],
      map: data.maps.find((map) => !map.problem)?.role ?? "", opacity: 0.6, from: 0, tool: "cross", crosshair: true,
      mode: "side", divider: 0.5, region: null, measured: null, measuredWords: "", marks: data.marks,
      examined: data.examined, compared: data.compared, difference: data.compared === "reference",
      series: 0,
    };
  }

  build() {
    const { data, state } = this;
    this.grid = make("div", { class: "grid" });
    this.status = make("p", { class: "status", role: "status" });
    this.numbers = make("div", { class: "numbers" });
    this.help = this.buildHelp();
    this.root.tabIndex = 0;
    this.root.replaceChildren(
      make("p", { class: "banner" + (state.frame.known ? "" : " doubt"), text: data.frame.words.join(" ") }),
      this.buildControls(), this.grid, this.buildReadout(), this.status, this.numbers, this.buildEvidence(), this.help,
      make("p", { class: "notice", text: data.notice }));
    const { signal } = this.listening = new AbortController();
    this.root.addEventListener("keydown", (event) => this.key(event), { signal });
    this.root.addEventListener("keyup", (event) => this.released(event.key.toLowerCase()), { signal });
    this.root.addEventListener("focusout", () => { for (const held of ["f", "o"]) this.released(held); }, { signal });
    this.resized = new ResizeObserver(() => { for (const pane of this.panes.values()) pane.fit(); this.draw(); });
    this.resized.observe(this.grid);
    [, this.unwatch] = onlyBelowItsHeading(this.root, () => this.data.api);
    this.follow(this.data.goto);
    this.reload();
  }

  update(component) {
    this.send = component.setTriggerValue;
    if (this.data.ticket !== component.data.ticket) this.heardAt = Date.now();
    this.data.ticket = component.data.ticket;
    this.state.marks = component.data.marks;
    this.follow(component.data.goto);
    for (const done of this.waiting.splice(0)) done();
    this.draw();
  }

  /** Go once to a place that the page asks for. */
  follow(place) {
    if (!place || place.n === this.followed) return;
    this.followed = place.n;
    this.goTo(place.at);
  }

  close() {
    this.closed = true;  // images that are still on their way are not drawn any more
    this.resized.disconnect();
    this.listening.abort();
    this.unwatch();
    for (const pane of this.panes.values()) pane.close();
    this.panes.clear();
  }
}

function hasWebGL2() {
  const found = document.createElement("canvas").getContext("webgl2");
  found?.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(found);
}

function leave(parentElement) {
  MOUNTS.get(parentElement)?.close();
  MOUNTS.delete(parentElement);
}

export default (component) => {
  const { parentElement } = component;
  const known = MOUNTS.get(parentElement);
  if (known && known.data.api !== component.data.api) leave(parentElement);  // never two cases in one
  else if (known) { known.update(component); return () => leave(parentElement); }
  const root = parentElement.querySelector(".mr");
  if (!hasWebGL2()) {
    root.textContent = "This browser cannot draw volumes (no WebGL2): still pictures are shown instead.";
    component.setTriggerValue("still", "this browser has no WebGL2");
    return undefined;
  }
  MOUNTS.set(parentElement, new Screen(root, component));
  return () => leave(parentElement);
};
