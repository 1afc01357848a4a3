// One pane: an image (or a difference) in NiiVue, and above it what is known of its sides.

const NIIVUE_OPTIONS = {
  backColor: [0, 0, 0, 1], isResizeCanvas: false, interactive: false, dragAndDropEnabled: false,
  crosshairWidth: 0, isOrientationTextVisible: false,  // letters come from the source, see `letters`
  isRadiologicalConvention: true, sagittalNoseLeft: true, multiplanarShowRender: 0,
  multiplanarPadPixels: 4, loadingText: "", logLevel: "error",
};
const NARROW = 120;  // pixels
const SHOW_HARD = 2;  // NiiVue: colours from 0, nothing below the least that is shown

class Pane {
  constructor(role, title, words, data) {
    this.role = role;
    this.data = data;
    this.gl = make("canvas", { class: "gl" });
    this.over = make("canvas", { class: "over" });
    this.marks = make("canvas", { class: "marks" });
    this.problem = make("div", { class: "problem", text: "loading ..." });
    this.said = make("div", { class: "said" });
    this.edges = make("div", { class: "edges" });
    this.view = make("div", { class: "view", "data-role": role }, this.gl, this.over, this.marks, this.edges, this.said, this.problem);
    const badges = [...data.badges, ...(data.frame.known ? [] : ["orientation unknown"])];
    this.element = make("figure", { class: "pane", "data-role": role },
      make("figcaption", {},
        make("div", { class: "what" }, make("b", { text: title, title }), make("span", { class: "words", text: words, title: words })),
        make("div", { class: "whose" }, make("span", { class: "who", text: data.identity }),
          ...badges.map((text) => make("span", { class: "badge", text })))),
      this.view);
    this.ready = false;
    this.overlay = null;
  }

  async open(library, buffer, colours, look = {}) {
    if (this.closed) return;
    this.library = library;
    const nv = new library.Niivue(NIIVUE_OPTIONS);
    this.fit();
    await nv.attachToCanvas(this.gl, false);
    // No surface is drawn here, and its gradients would take most of the time of each new window.
    nv.blurShader = nv.sobelFirstOrderShader = nv.passThroughShader;
    for (const [name, table] of Object.entries(colours)) nv.addColormap(`page_${name}`, fullTable(table));
    this.nv = nv;
    if (this.closed) this.close();
    else await this.show(buffer, look);
  }

  async show(buffer, { colormap = "gray", low = 0, high = 1 } = {}) {
    const { NVImage } = this.library;
    while (this.nv.volumes.length) this.nv.removeVolumeByIndex(0);
    this.overlay = null;
    const image = await NVImage.new(buffer, `${this.role}.nii`, colormap, 1, null, low, high, true);
    if (this.closed) return;
    this.nv.addVolume(image);
    this.nv.volumes[0].cal_min = low;
    this.nv.volumes[0].cal_max = high;
    this.problem.hidden = true;
    this.ready = true;
  }

  /** Put a map above the image, drawn from 0 to 1 of its scale. */
  async cover(buffer, from) {
    this.uncover();
    const { NVImage } = this.library;
    const image = await NVImage.new(buffer, "map.nii", "page_viridis", 1, null, from, 1, true);
    if (this.closed) return;
    image.colormapType = SHOW_HARD;
    this.nv.addVolume(image);
    this.overlay = image;
    this.showFrom(from);
  }

  uncover() {
    if (this.overlay) this.nv.removeVolume(this.overlay);
    this.overlay = null;
  }

  showFrom(from) {
    if (!this.overlay) return;
    this.overlay.cal_min = Math.max(from, 1e-6);
    this.overlay.cal_max = 1;
    this.nv.updateGLVolume();
  }

  window(low, high, invert, smooth) {
    if (!this.ready || this.isDifference) return;
    const image = this.nv.volumes[0];
    image.cal_min = low;
    image.cal_max = high;
    image.colormapInvert = invert;
    this.nv.opts.isNearestInterpolation = !smooth;
    this.nv.updateGLVolume();
  }

  /** Wait until the device has drawn all that was asked for. */
  async idle() {
    if (!this.ready) return;
    const { gl } = this.nv, fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    while (gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED) await new Promise(requestAnimationFrame);
    gl.deleteSync(fence);
  }

  fit() {
    const scale = window.devicePixelRatio || 1;
    const size = [this.view.clientWidth, this.view.clientHeight].map((side) => Math.max(Math.round(side * scale), 2));
    for (const canvas of [this.gl, this.over, this.marks]) {
      if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    }
    this.scale = scale;
  }

  draw(state) {
    if (!this.ready) return;
    const nv = this.nv;
    nv.opts.sliceType = state.three ? THREE_PLANES : state.frame.native;
    nv.scene.crosshairPos = shareOf(state.frame, state.at);
    nv.scene.pan2Dxyzmm = [...state.pan, state.zoom];
    nv.overlayAlphaShader = state.opacity;
    nv.drawScene();
    this.letters(state.frame);
  }

  /** Letters at the edges of each plane; none where the orientation is unknown. */
  letters(frame) {
    const drawn = tiles(this.nv).map((tile) => `${tile.axCorSag}:${tile.leftTopWidthHeight.map(Math.round)}`).join(" ");
    if (drawn === this.lettered) return;
    this.lettered = drawn;
    this.edges.replaceChildren(...tiles(this.nv).flatMap((tile) => {
      const [left, top, width, height] = drawnBox(this.nv, tile).map((side) => side / this.scale);
      const { name, letters } = frame.planes[tile.axCorSag];
      const [x, y] = [left + width / 2, top + height / 2];
      const places = { left: [left + 8, y], right: [left + width - 8, y], top: [x, top + 9], bottom: [x, top + height - 9] };
      const isNarrow = width < NARROW;  // its letters would lie on the word
      const plane = isNarrow ? [] : [make("span", { class: "plane", text: name, style: `left:${left + 4}px;top:${top + 2}px` })];
      if (!letters) return plane;
      return [...plane, ...Object.entries(places).map(([edge, at]) =>
        make("span", { class: `edge ${edge}`, text: letters[edge], "data-plane": name, "data-edge": edge, style: `left:${at[0]}px;top:${at[1]}px` }))];
    }));
  }

  /** Where a plane (0 axial, 1 coronal, 2 sagittal) is drawn, in pixels of the page. */
  box(plane) {
    const tile = tiles(this.nv).find((one) => one.axCorSag === plane);
    return tile ? drawnBox(this.nv, tile).map((side) => side / this.scale) : null;
  }

  /** Take away what was drawn above for a comparison. */
  clearOver() {
    if (!this.isCompared) return;
    this.over.getContext("2d").clearRect(0, 0, this.over.width, this.over.height);
    this.said.textContent = "";
    this.isCompared = false;
  }

  fail(words) {
    this.problem.textContent = words;
    this.problem.hidden = false;
    this.ready = false;
  }

  /** Give the device back; what is still on its way is not drawn (its context is lost). */
  close() {
    this.closed = true;
    this.ready = false;
    if (!this.nv) return;
    this.nv.cleanup();
    this.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** A colour table for NiiVue whose first entry, of values that are nothing, is clear. */
function fullTable(table) {
  const [R, G, B] = [0, 1, 2].map((channel) => table.map((colour) => colour[channel]));
  return { R, G, B, A: table.map((_, at) => (at ? 255 : 0)), I: table.map((_, at) => at) };
}
