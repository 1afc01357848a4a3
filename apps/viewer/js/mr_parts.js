// Small parts of the MR screen: fields, colour bars, curves.

function drawing(tag, facts = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(facts)) element.setAttribute(name, value);
  return element;
}

function choice(label, options, chosen, change) {
  const select = make("select", { "aria-label": label, onchange: () => change(select.value) },
    ...options.map(([value, text]) => make("option", { value, text })));
  select.value = chosen;
  return select;
}

function slider(label, low, high, step, value, change) {
  return make("input", { type: "range", "aria-label": label, min: low, max: high, step, value,
    oninput: (event) => change(Number(event.target.value)) });
}

/** A field for a number; emptied, or with what is no number in it, it goes back to `last`. */
function numberField(label, low, high, step, last, change) {
  return make("input", { type: "number", "aria-label": label, min: low, max: high, step, value: last(),
    onchange: (event) => {
      const found = event.target.valueAsNumber;
      if (Number.isFinite(found)) change(Math.min(Math.max(found, low), high));
      else event.target.value = last();
    } });
}

/** What is opened above the images by one press, and closed by Escape or where the keyboard goes on. */
function folded(summary, ...parts) {
  const details = make("details", { class: "folded" }, summary, make("div", { tabindex: -1 }, ...parts));
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    event.stopPropagation();
    details.open = false;
    summary.focus();
  });
  details.addEventListener("focusout", (event) => { if (!details.contains(event.relatedTarget)) details.open = false; });
  return details;
}

function tick(label, checked, change) {
  const box = make("input", { type: "checkbox", onchange: () => change(box.checked) });
  box.checked = checked;
  return { element: make("label", { class: "tick" }, box, document.createTextNode(label)), box };
}

function colourBar(colours) {
  const canvas = make("canvas", { width: colours.length, height: 1, class: "bar", role: "img", "aria-label": "Colour bar, low to high" });
  const picture = new ImageData(colours.length, 1);
  colours.forEach((colour, at) => picture.data.set([...colour, 255], 4 * at));
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

/** Four digits of a number, in one form for the two ends of a scale. */
function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(3) : String(Number(value.toPrecision(4)));
}

/** Numbers of each slice as a line that can be clicked. */
function sparkline(values, { width = 260, height = 40 }, press) {
  const known = values.filter((value) => value !== null);
  const high = Math.max(...known, 1e-30);
  const x = (index) => 4 + (width - 8) * (values.length > 1 ? index / (values.length - 1) : 0.5);
  const y = (value) => height - 4 - (height - 10) * (value / high);
  const picture = drawing("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", role: "img", "aria-label": "Number of each slice" });
  const points = values.map((value, index) => [index, value]).filter(([, value]) => value !== null);
  picture.append(drawing("polyline", { points: points.map(([i, v]) => `${x(i)},${y(v)}`).join(" "), class: "line" }));
  for (const [index, value] of points) picture.append(drawing("circle", { cx: x(index), cy: y(value), r: 1.6, class: "dot" }));
  const here = drawing("line", { y1: 0, y2: height, class: "here" });
  picture.append(here);
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const part = ((event.clientX - box.left) / box.width * width - 4) / (width - 8);
    press(Math.min(Math.max(Math.round(part * (values.length - 1)), 0), values.length - 1));
  });
  return { element: picture, show: (index) => { here.setAttribute("x1", x(index)); here.setAttribute("x2", x(index)); } };
}

/** The residual by k-space radius, measured beside expected. */
function residualCurve(bands, { width = 260, height = 90 } = {}) {
  const all = bands.flatMap((band) => [band.value, band.expectation ?? 0]);
  const high = Math.max(...all) * 1.1 || 1;
  const left = 34, x = (band) => left + (width - left - 6) * (band.low + band.high) / 2;
  const y = (value) => height - 14 - (height - 20) * (value / high);
  const picture = drawing("svg", { viewBox: `0 0 ${width} ${height}`, class: "curve", role: "img", "aria-label": "Residual by k-space radius" });
  const write = (text, at, anchor = "start") => {
    const words = drawing("text", { ...at, "text-anchor": anchor });
    words.textContent = text;
    picture.append(words);
  };
  picture.append(drawing("polyline", { points: `${left},4 ${left},${y(0)} ${width - 6},${y(0)}`, class: "axis" }));
  write(high.toPrecision(2), { x: left - 2, y: 10 }, "end");
  write("0", { x: left - 2, y: y(0) }, "end");
  write("centre", { x: left + 2, y: height - 2 });
  write("edge of k-space", { x: width - 6, y: height - 2 }, "end");
  const expected = bands.filter((band) => band.expectation !== null);
  picture.append(drawing("polyline", { class: "expected", points: expected.map((b) => `${x(b)},${y(b.expectation)}`).join(" ") }));
  picture.append(drawing("polyline", { class: "line", points: bands.map((b) => `${x(b)},${y(b.value)}`).join(" ") }));
  for (const band of bands) {
    const dot = drawing("circle", { cx: x(band), cy: y(band.value), r: 2.5, class: "dot" });
    const title = drawing("title");
    title.textContent = `radius ${band.low} to ${band.high}: ${short(band.value)} sigma^2, expected ${short(band.expectation)}, n = ${band.n}`;
    dot.append(title);
    picture.append(dot);
  }
  return picture;
}
