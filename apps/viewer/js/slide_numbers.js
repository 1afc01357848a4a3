// Lengths, areas and magnifications of a slide. No page, no library: numbers in, numbers out.

const MAGNIFICATIONS = [2.5, 5, 10, 20, 40];
const OBJECTIVE = 10; // microns per pixel at 1x: 10x is 1 um/px
const ROUND = [1, 2, 5];

// Screen pixels for one pixel of level 0, at a magnification.
const zoomOf = (magnification, mpp) => (magnification * mpp) / OBJECTIVE;
const magnificationOf = (zoom, mpp) => (OBJECTIVE * zoom) / mpp;

// The longest round length that is no wider than `most` screen pixels: [length, pixels].
const roundLength = (unitPerPixel, most) => {
  const longest = unitPerPixel * most;
  const decade = 10 ** Math.floor(Math.log10(longest));
  const factor = ROUND.filter((one) => one * decade <= longest * (1 + 1e-9)).pop();
  return [factor * decade, (factor * decade) / unitPerPixel];
};

const digits = (value) => String(Number(value.toPrecision(4)));

const valueWords = (value) =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toFixed(3);

const lengthWords = (micrometres) =>
  micrometres >= 1000 ? `${digits(micrometres / 1000)} mm` : `${digits(micrometres)} µm`;
const areaWords = (square) =>
  square >= 1e5 ? `${digits(square / 1e6)} mm²` : `${digits(square)} µm²`;

// Length of a path and area of an outline, in level-0 pixels or, where they are known, in microns.
const lengthOf = (points, mpp, closed) => {
  const [sx, sy] = mpp || [1, 1];
  let sum = 0;
  points.forEach((point, i) => {
    if (i === 0 && !closed) return;
    const last = points[(i + points.length - 1) % points.length];
    sum += Math.hypot((point[0] - last[0]) * sx, (point[1] - last[1]) * sy);
  });
  return sum;
};
const areaOf = (points, mpp) => {
  const [sx, sy] = mpp || [1, 1];
  let twice = 0;
  points.forEach(([x, y], i) => {
    const [nextX, nextY] = points[(i + 1) % points.length];
    twice += x * nextY - nextX * y;
  });
  return (Math.abs(twice) / 2) * sx * sy;
};

const measured = (points, mpp, closed) => {
  const length = lengthOf(points, mpp, closed);
  if (!closed) return mpp ? lengthWords(length) : `${digits(length)} px`;
  const area = areaOf(points, mpp);
  return mpp
    ? `area ${areaWords(area)}, outline ${lengthWords(length)}`
    : `area ${digits(area)} px², outline ${digits(length)} px (MPP unknown)`;
};

const rings = (geometry) =>
  geometry.type === "Polygon" ? geometry.coordinates : geometry.coordinates.flat();

const inside = (point, ring) => {
  let odd = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi, yi] = ring[i];
    const [xj, yj] = ring[j];
    if (yi > point[1] !== yj > point[1] && point[0] < ((xj - xi) * (point[1] - yi)) / (yj - yi) + xi)
      odd = !odd;
  }
  return odd;
};

const boundsOf = (geometry) => {
  const points = rings(geometry).flat();
  const xs = points.map((one) => one[0]);
  const ys = points.map((one) => one[1]);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return [left, top, Math.max(...xs) - left, Math.max(...ys) - top];
};
