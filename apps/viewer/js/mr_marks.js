// What is drawn above an image: crosshair, region, distance, pins and saved shapes.

const COLOURS = { cross: "#4fd1c5", region: "#f2c14e", distance: "#f2c14e", pin: "#ff9b8f", saved: "#ff9b8f" };

function drawMarks(pane, state) {
  const seen = look(pane, state);
  if (seen === pane.marked) return;
  pane.marked = seen;
  const context = pane.marks.getContext("2d");
  context.clearRect(0, 0, pane.marks.width, pane.marks.height);
  if (!pane.ready) return;
  context.lineWidth = pane.scale;
  context.font = `${12 * pane.scale}px sans-serif`;
  for (const tile of tiles(pane.nv)) {
    const to = (at) => onCanvas(pane.nv, tile, shareOf(state.frame, at));
    const inPlane = (at) => Math.abs(normal(state.frame, tile, at) - normal(state.frame, tile, state.at)) < 0.5;
    context.save();
    context.beginPath();
    context.rect(...drawnBox(pane.nv, tile));
    context.clip();
    if (state.crosshair) cross(context, to(state.at), drawnBox(pane.nv, tile), pane.scale);
    if (state.region && tile.axCorSag === state.frame.native && state.region.plane === state.at[0]) {
      outline(context, corners(state.region).map(to), COLOURS.region);
    }
    if (state.measured && inPlane(state.measured[0]) && inPlane(state.measured[1])) {
      ruler(context, state.measured.map(to), state.measuredWords, pane.scale);
    }
    for (const mark of state.marks) saved(context, mark, { to, inPlane, tile, state, scale: pane.scale });
    context.restore();
  }
}

/** Everything that the marks depend on, so that a step through the slices draws none of them anew. */
function look(pane, state) {
  const { marks: { width, height } } = pane;
  if (!pane.ready) return `${width} ${height}`;
  const drawn = tiles(pane.nv).map((tile) => [tile.axCorSag, ...drawnBox(pane.nv, tile), ...tile.leftTopMM, ...tile.fovMM,
    ...(state.crosshair ? onCanvas(pane.nv, tile, shareOf(state.frame, state.at)) : [])]);
  const placed = state.region || state.measured || state.marks.length ? [state.at, state.region, state.measured, state.marks] : [];
  return JSON.stringify([width, height, drawn, placed]);
}

/** The index of a voxel along the normal of a plane. */
function normal(frame, tile, at) {
  const patient = [2, 1, 0][tile.axCorSag];
  return at[2 - frame.axes[patient]];
}

function cross(context, [x, y], [left, top, width, height], scale) {
  const gap = 9 * scale;
  context.strokeStyle = COLOURS.cross;
  context.beginPath();
  const across = [[[left, y], [x - gap, y]], [[x + gap, y], [left + width, y]]];
  const down = [[[x, top], [x, y - gap]], [[x, y + gap], [x, top + height]]];
  for (const [from, to] of [...across, ...down]) {
    context.moveTo(...from);
    context.lineTo(...to);
  }
  context.stroke();
}

/** Points of the outline of a region, in stored voxels. */
function corners({ plane, top, left, bottom, right, shape }, count = 48) {
  if (shape === "rectangle") return [[plane, top, left], [plane, top, right], [plane, bottom, right], [plane, bottom, left]];
  return Array.from({ length: count }, (_, number) => {
    const angle = 2 * Math.PI * number / count;
    return [plane, (top + bottom) / 2 + (bottom - top) / 2 * Math.sin(angle), (left + right) / 2 + (right - left) / 2 * Math.cos(angle)];
  });
}

function outline(context, points, colour) {
  context.strokeStyle = colour;
  context.beginPath();
  points.forEach((point, at) => (at ? context.lineTo(...point) : context.moveTo(...point)));
  context.closePath();
  context.stroke();
}

function ruler(context, [one, other], words, scale) {
  context.strokeStyle = context.fillStyle = COLOURS.distance;
  context.beginPath();
  context.moveTo(...one);
  context.lineTo(...other);
  context.stroke();
  for (const [x, y] of [one, other]) context.fillRect(x - 2 * scale, y - 2 * scale, 4 * scale, 4 * scale);
  if (words) write(context, words, other, scale);
}

/** Words beside a place, readable on white and on black. */
function write(context, words, [x, y], scale) {
  const colour = context.strokeStyle;
  context.strokeStyle = "#0b0d10";
  context.lineWidth = 3 * scale;
  context.strokeText(words, x + 8 * scale, y - 8 * scale);
  context.fillText(words, x + 8 * scale, y - 8 * scale);
  context.strokeStyle = colour;
  context.lineWidth = scale;
}

function saved(context, mark, { to, inPlane, tile, state, scale }) {
  if (mark.kind === "pin" && inPlane(mark.at)) {
    const [x, y] = to(mark.at);
    context.fillStyle = context.strokeStyle = COLOURS.pin;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - 5 * scale, y - 12 * scale);
    context.lineTo(x + 5 * scale, y - 12 * scale);
    context.closePath();
    context.fill();
    if (mark.words) write(context, mark.words.slice(0, 40), [x, y], scale);
  }
  if (mark.kind === "shape" && tile.axCorSag === state.frame.native && mark.plane === state.at[0] && mark.geometry.type === "Polygon") {
    for (const ring of mark.geometry.coordinates) {
      outline(context, ring.map(([column, row]) => to([mark.plane, row, column])), COLOURS.saved);
    }
  }
}
