// Places: stored voxels (slice, row, column from 0, whole numbers in their middle), shares of the
// drawn volume, and pixels of a canvas.

const AXIAL = 0, CORONAL = 1, SAGITTAL = 2, THREE_PLANES = 3;
const ACROSS = [[0, 1], [0, 2], [1, 2]];  // patient axes of a plane, to the right and upwards

function shareOf(frame, at) {
  return frame.axes.map((axis, patient) => {
    const index = at[2 - axis], count = frame.size[axis];
    return ((frame.signs[patient] > 0 ? index : count - 1 - index) + 0.5) / count;
  });
}

function voxelOf(frame, share) {
  const at = [0, 0, 0];
  frame.axes.forEach((axis, patient) => {
    const count = frame.size[axis], index = share[patient] * count - 0.5;
    at[2 - axis] = frame.signs[patient] > 0 ? index : count - 1 - index;
  });
  return at;
}

function hundredths(index) { return Number(index.toFixed(2)); }

function nearestVoxel(frame, at) {
  return at.map((index, axis) => Math.min(Math.max(Math.round(index), 0), frame.size[2 - axis] - 1));
}

/** Corners of the drawn volume in the millimetres of NiiVue, which runs along the grid. */
function extent(nv) {
  return [nv.frac2mm([0, 0, 0]), nv.frac2mm([1, 1, 1])];
}

function tiles(nv) {
  return nv.screenSlices.filter((tile) => tile.axCorSag <= SAGITTAL);
}

/** Left, top, width and height of a tile as WebGL draws it: its viewport has whole numbers. */
function drawnBox(nv, tile) {
  const [left, top, width, height] = tile.leftTopWidthHeight, all = nv.gl.canvas.height;
  const [below, high] = [Math.trunc(all - top - height), Math.trunc(height)];
  return [Math.trunc(left), all - below - high, Math.trunc(width), high];
}

function tileAt(nv, x, y) {
  return tiles(nv).find((tile) => {
    const [left, top, width, height] = drawnBox(nv, tile);
    return x >= left && y >= top && x <= left + width && y <= top + height;
  });
}

/** Canvas pixels of a place in a tile. */
function onCanvas(nv, tile, share) {
  const [low, high] = extent(nv);
  const [left, top, width, height] = drawnBox(nv, tile);
  const [across, up] = ACROSS[tile.axCorSag].map((axis, number) => {
    const mm = low[axis] + share[axis] * (high[axis] - low[axis]);
    return (mm - tile.leftTopMM[number]) / tile.fovMM[number];
  });
  return [left + across * width, top + (1 - up) * height];
}

/** Share of the volume below canvas pixels; along the normal of the plane it stays at `share`. */
function belowCanvas(nv, tile, x, y, share) {
  const [low, high] = extent(nv);
  const [left, top, width, height] = drawnBox(nv, tile);
  const found = [...share];
  const parts = [(x - left) / width, 1 - (y - top) / height];
  ACROSS[tile.axCorSag].forEach((axis, number) => {
    const mm = tile.leftTopMM[number] + parts[number] * tile.fovMM[number];
    found[axis] = (mm - low[axis]) / (high[axis] - low[axis]);
  });
  return found;
}

/** Distance of two voxels [mm]; null where a size that it needs is unknown. */
function distance(frame, one, other) {
  let sum = 0;
  for (let axis = 0; axis < 3; axis++) {
    const steps = one[axis] - other[axis], size = frame.spacing[2 - axis];
    if (Math.abs(steps) < 1e-9) continue;
    if (size === null) return null;
    sum += (steps * size) ** 2;
  }
  return Math.sqrt(sum);
}
