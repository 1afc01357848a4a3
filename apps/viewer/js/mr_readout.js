// What lies under the pointer, else at the crosshair: its place, and what the images hold there.
// Volumes come with 16 bits, so that a value is known to half a step: it is shown to the digits
// that all values within that half step share, and agrees with the stored array to the last of them.

const STEPS_OF_A_DIGIT = 20;  // of half a step: so one digit fewer is the most that is lost
const HALF_STEP = 0.51;  // and what rounding of the slope to 32 bits may add
const LEAST_PLAIN = -6, MOST_PLAIN = 0;  // powers of ten of the last digit that is written plainly
const SIDES = ["RL", "AP", "SI"];  // of the patient: positive, negative

/** The digits of a value, known to `half` on each side, that are certain. */
function certain(value, half) {
  if (!Number.isFinite(value / half)) return String(value); // a step too small for 32 bits
  let power = Math.ceil(Math.log10(STEPS_OF_A_DIGIT * half));
  const steps = (one) => Math.round(one / 10 ** power);
  while (steps(value - half) !== steps(value + half)) power += 1;
  const count = steps(value), isPlain = power >= LEAST_PLAIN && power <= MOST_PLAIN;
  if (count === 0) return isPlain ? (0).toFixed(-power) : "0";
  const found = Number(`${count}e${power}`);
  return isPlain ? found.toFixed(-power) : found.toExponential(String(Math.abs(count)).length - 1);
}

/** Patient position [mm] of the middle of a voxel, in letters; null where that is not known. */
function patientWords({ orientation }, [slice, row, column]) {
  if (!orientation) return null;
  const at = [column, row, slice, 1];
  const places = SIDES.map((letters, axis) => {
    const mm = Number(at.reduce((sum, index, number) => sum + index * orientation[axis][number], 0).toFixed(1));
    return `${letters[mm < 0 ? 1 : 0]} ${Math.abs(mm).toFixed(1)}`;
  });
  return `${places.join(" · ")} mm`;
}

class Readout extends Panes {
  buildReadout() {
    this.placeWords = make("div", { class: "place" });
    this.valueWords = make("div", { class: "values" });
    return make("div", { class: "readout", role: "group", "aria-label": "Values under the pointer, else at the crosshair" },
      this.placeWords, this.valueWords);
  }

  /** Remember where the pointer is; it is looked up when it is drawn, for the image may move below it. */
  pointed(pane, place) {
    this.pointer = pane && { pane, place };
    this.later("readout", () => this.readOut());
  }

  readOut() {
    const { frame, at } = this.state, { pane, place } = this.pointer ?? {};
    const found = pane?.ready ? this.voxel(pane, place) : at;
    const voxel = found?.map(Math.round) ?? null;
    if (!voxel?.every((index, axis) => index >= 0 && index < frame.size[2 - axis])) {
      this.placeWords.textContent = "Pointer: outside of the image.";
      this.valueWords.replaceChildren();
      return;
    }
    const [slice, row, column] = voxel.map((index) => index + 1);
    const mm = patientWords(frame, voxel) ?? "position in mm unknown";
    this.placeWords.textContent = `${pane?.ready ? "Pointer" : "Crosshair"}: column ${column}, row ${row}, slice ${slice} · ${mm}`;
    this.valueWords.replaceChildren(...this.valuesAt(voxel, pane?.ready ? pane.role : null)
      .map(([role, title, words]) => make("span", { "data-role": role }, make("b", { text: title }), ` ${words}`)));
  }

  /** Role, title and value of the examined and the compared image, of another below the pointer, and of the map. */
  valuesAt(voxel, below) {
    const { data, state } = this, rows = [];
    const roles = new Set([state.examined, state.compared, below]);
    for (const image of data.images.filter((one) => roles.has(one.role) && !one.problem)) {
      const one = this.storedAt(image.role, voxel);
      rows.push([image.role, image.title, one ? this.imageWords(image, one) : "loading"]);
    }
    const [one, other] = [state.examined, state.compared].map((role) => this.storedAt(role, voxel));
    if (state.difference && one && other && state.examined !== state.compared) {
      const size = { value: Math.abs(one.value - other.value), half: one.half + other.half };
      rows.push(["difference", "Difference", this.imageWords(data.images.find((image) => image.role === state.examined), size)]);
    }
    const map = data.maps.find((found) => found.role === state.map);
    if (map && this.buffers.has(map.role)) rows.push([map.role, map.title, this.mapValue(map, this.storedAt(map.role, voxel))]);
    return rows;
  }

  imageWords({ unit }, { value, half }) {
    const white = this.data.white / 100;
    return `${certain(value, half)} ${unit ?? "(unit unknown)"}, ${certain(value / white, half / white)} % of white`;
  }

  mapValue(map, { value, half }) {
    return `${certain(value, half)} ${map.unit}${map.gaps && value === 0 ? ", or no value here" : ""}`;
  }

  /** The value of a voxel and half a step of it; null where it did not come yet. */
  storedAt(role, [slice, row, column]) {
    const buffer = this.buffers.get(role), [columns, rows] = this.state.frame.size;
    if (!buffer) return null;
    const { steps, slope } = readValues(buffer);
    return { value: steps[column + columns * (row + rows * slice)] * slope, half: HALF_STEP * slope };
  }
}
