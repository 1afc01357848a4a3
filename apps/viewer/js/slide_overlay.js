// What is drawn over the slide: a map of numbers, outlines, places. One canvas for each pane, in step
// with each frame of OpenSeadragon, so that both always show the same moment.

const INK = { shape: "#7fd4ff", own: "#ffd166", draft: "#ffffff", place: "#ff6ec7", pin: "#f2c14e" };

// Position of a value between the first (0) and the last colour (1).
const fraction = (map, value) => {
  if (!map.is_ratio) return (value - map.from) / (map.to - map.from);
  const clipped = Math.min(Math.max(value, map.from), map.to);
  return Math.log2(clipped / map.from) / Math.log2(map.to / map.from);
};
const valueAt = (map, share) =>
  map.is_ratio ? map.from * (map.to / map.from) ** share : map.from + share * (map.to - map.from);

// A canvas with one pixel for each number; clear where none is known or it is below the threshold.
const coloured = (map, values, colours, least) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [map.columns, map.rows];
  const picture = new ImageData(map.columns, map.rows);
  let shown = 0;
  values.forEach((value, i) => {
    if (!Number.isFinite(value) || value < least) return;
    const index = Math.floor(255 * Math.min(Math.max(fraction(map, value), 0), 1) + 0.5);
    picture.data.set(colours.slice(3 * index, 3 * index + 3), 4 * i);
    picture.data[4 * i + 3] = 255;
    shown += 1;
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return { canvas, shown };
};

const valuesOf = async (state, map) => {
  if (!state.values.has(map.role)) {
    const asked = fetch(state.address(`values/${map.role}`)).then(async (answer) => {
      if (!answer.ok) throw new Error(await answer.text());
      return new Float32Array(await answer.arrayBuffer());
    });
    state.values.set(map.role, asked);
    asked.catch(() => state.values.delete(map.role)); // asked again at the next choice
  }
  return state.values.get(map.role);
};

const cellAt = (map, [x, y]) => {
  const [left, top, width, height] = map.box;
  const column = Math.floor(((x - left) / width) * map.columns);
  const row = Math.floor(((y - top) / height) * map.rows);
  const isOn = column >= 0 && row >= 0 && column < map.columns && row < map.rows;
  return isOn ? row * map.columns + column : null;
};

const screenOf = (state, [x, y]) =>
  state.image.imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
const slideOf = (state, point) => {
  const found = state.image.viewerElementToImageCoordinates(point);
  return [found.x, found.y];
};

const trace = (state, context, points) => {
  points.forEach((point, i) => {
    const at = screenOf(state, point);
    if (i === 0) context.moveTo(at.x, at.y);
    else context.lineTo(at.x, at.y);
  });
};

const lined = (context, colour, width) => {
  context.lineWidth = width + 2;
  context.strokeStyle = "rgba(11, 13, 16, 0.75)"; // dark below bright: seen on white and on tissue
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
};

const lettered = (context, text, x, y, colour) => {
  context.font = "12px system-ui, sans-serif";
  const width = context.measureText(text).width;
  context.fillStyle = "rgba(11, 13, 16, 0.82)";
  context.fillRect(x - 3, y - 13, width + 6, 17);
  context.fillStyle = colour;
  context.fillText(text, x, y);
};

const drawMap = (state, context) => {
  const { shown } = state;
  if (!shown || !state.showMap) return;
  const [left, top, width, height] = shown.map.box;
  const first = screenOf(state, [left, top]);
  const last = screenOf(state, [left + width, top + height]);
  context.globalAlpha = state.opacity;
  context.imageSmoothingEnabled = false; // a cell is a cell: nothing between two was computed
  context.drawImage(shown.canvas, first.x, first.y, last.x - first.x, last.y - first.y);
  context.globalAlpha = 1;
};

const drawBox = (state, context, box, colour, width) => {
  const first = screenOf(state, box.slice(0, 2));
  const last = screenOf(state, [box[0] + box[2], box[1] + box[3]]);
  context.beginPath();
  context.rect(first.x, first.y, last.x - first.x, last.y - first.y);
  lined(context, colour, width);
};

const drawShape = (state, context, shape) => {
  const isChosen = state.chosen === shape.id;
  const colour = shape.mine ? INK.own : INK.shape;
  context.beginPath();
  for (const ring of rings(shape.geometry)) trace(state, context, ring);
  lined(context, colour, isChosen ? 3.5 : 2);
  const [left, top] = boundsOf(shape.geometry);
  const at = screenOf(state, [left, top]);
  lettered(context, `${shape.label || "no label"} · ${shape.author}`, at.x, at.y - 6, colour);
};

const drawDraft = (state, context, draft) => {
  if (!draft || !draft.points.length) return;
  const points = draft.closed || !draft.next ? draft.points : [...draft.points, draft.next];
  context.beginPath();
  trace(state, context, points);
  if (draft.closed) context.closePath();
  lined(context, INK.draft, 2);
  for (const point of draft.points) {
    const at = screenOf(state, point);
    context.beginPath();
    context.arc(at.x, at.y, 3.5, 0, 2 * Math.PI);
    context.fillStyle = INK.draft;
    context.fill();
  }
  const isDistance = draft.kind === "distance";
  if (points.length > (isDistance ? 1 : 2)) {
    const at = screenOf(state, points[points.length - 1]);
    const words = measured(points, state.data.mpp, !isDistance);
    state.root.dataset.measured = words;
    lettered(context, words, at.x + 12, at.y + 4, INK.draft);
  }
};

const drawPin = (state, context, at, text) => {
  const { x, y } = screenOf(state, at);
  context.beginPath();
  context.moveTo(x, y);
  context.arc(x, y - 13, 6, 0.75 * Math.PI, 0.25 * Math.PI);
  context.closePath();
  context.fillStyle = INK.pin;
  context.fill();
  lined(context, INK.pin, 1);
  if (text) lettered(context, text, x + 10, y - 10, INK.pin);
};

// A quiet cross where the pointer is in another pane.
const drawPointer = (state, context, at) => {
  const { x, y } = screenOf(state, at);
  context.beginPath();
  for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + 4 * across, y + 4 * down);
    context.lineTo(x + 11 * across, y + 11 * down);
  }
  lined(context, INK.draft, 1.5);
};

/** Draw over every pane. */
const redraw = (state) => {
  for (const pane of openPanes(state)) paint(pane);
};

const paint = (state) => {
  const { over, viewer } = state;
  const { x: width, y: height } = viewer.viewport.getContainerSize();
  const ratio = window.devicePixelRatio || 1;
  if (over.width !== Math.round(width * ratio) || over.height !== Math.round(height * ratio)) {
    [over.width, over.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  }
  const context = over.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  drawMap(state, context);
  if (state.place) drawBox(state, context, state.place, INK.place, 2.5);
  for (const shape of state.data.shapes) if (state.showShapes) drawShape(state, context, shape);
  for (const pin of state.data.pins)
    if (state.showShapes) drawPin(state, context, pin.at, `${pin.text} · ${pin.author}`);
  if (state.pin) drawPin(state, context, state.pin, "");
  for (const one of [state.waiting?.draft, state.draft]) drawDraft(state, context, one);
  state.root.dataset.points = String(state.draft?.points.length ?? 0);
  if (state.pointer && state.pointer.pane !== state) drawPointer(state, context, state.pointer.at);
};
