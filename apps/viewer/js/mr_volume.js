// Volumes for drawing: the bytes of a route, with the frame of the screen written into their header.
// Values are counted in a unit of the screen (the white level, the end of a scale): NiiVue divides
// by no range below 0.00001, and images of k-space are often smaller than that.

const NIFTI = { dims: 40, type: 70, bits: 72, pixdim: 76, offset: 108, slope: 112, qform: 252, sform: 254, rows: 280 };
const NIFTI_FLOAT = 16, NIFTI_DATA = 352, CODE_NONE = 0, CODE_SCANNER = 1;

function readValues(buffer) {
  const view = new DataView(buffer);
  return {
    steps: new Int16Array(buffer, view.getFloat32(NIFTI.offset, true)),
    slope: view.getFloat32(NIFTI.slope, true),
  };
}

function putFrame(view, frame) {
  frame.spacing.forEach((step, axis) => view.setFloat32(NIFTI.pixdim + 4 * (axis + 1), step ?? 1, true));
  view.setInt16(NIFTI.qform, CODE_NONE, true);
  view.setInt16(NIFTI.sform, CODE_SCANNER, true);  // for NiiVue alone; letters come from the page
  frame.affine.flat().forEach((value, at) => view.setFloat32(NIFTI.rows + 4 * at, value, true));
}

/** A copy of a volume in the frame of the screen; `absolute` draws the size of signed values. */
function framed(buffer, frame, unit, { absolute = false } = {}) {
  const copy = buffer.slice(0);
  const view = new DataView(copy);
  const { steps, slope } = readValues(copy);
  if (absolute) for (let i = 0; i < steps.length; i++) steps[i] = Math.abs(steps[i]);
  view.setFloat32(NIFTI.slope, slope / unit, true);
  putFrame(view, frame);
  return copy;
}

/** The absolute difference of two volumes of one grid. */
function difference(one, other, frame, unit) {
  const [a, b] = [readValues(one), readValues(other)];
  const result = new ArrayBuffer(NIFTI_DATA + 4 * a.steps.length);
  new Uint8Array(result).set(new Uint8Array(one, 0, NIFTI_DATA));
  const view = new DataView(result);
  view.setInt16(NIFTI.type, NIFTI_FLOAT, true);
  view.setInt16(NIFTI.bits, 32, true);
  view.setFloat32(NIFTI.offset, NIFTI_DATA, true);
  view.setFloat32(NIFTI.slope, 1, true);
  putFrame(view, frame);
  const values = new Float32Array(result, NIFTI_DATA);
  const [first, second] = [a.slope / unit, b.slope / unit];
  for (let i = 0; i < values.length; i++) values[i] = Math.abs(a.steps[i] * first - b.steps[i] * second);
  return result;
}
