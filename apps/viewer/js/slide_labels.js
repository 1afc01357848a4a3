// Label and macro images: fetched when they are asked for, each look on record, kept by nobody.

const TITLES = { label: "Label", macro: "Macro image" };
const AGAIN_MS = 15_000; // a press that got no answer can be repeated
const mounts = new WeakMap();

const clear = (state) => {
  for (const url of state.urls.splice(0)) URL.revokeObjectURL(url);
  state.shown.replaceChildren();
};

const fetched = async (state, name, ticket) => {
  const answer = await fetch(addressOf({ api: state.data.api, ticket }, `slide/associated/${name}.jpg`));
  if (!answer.ok) throw new Error(await answer.text());
  const url = URL.createObjectURL(await answer.blob());
  state.urls.push(url);
  const words = `${TITLES[name]} of ${state.data.of}`;
  return make("figure", {}, make("img", { src: url, alt: words }), make("figcaption", { text: words }));
};

// One after the other: each is written into the audit log before it comes.
const show = async (state, { n, ticket, problem }) => {
  const found = [];
  for (const name of problem ? [] : state.data.names)
    found.push(await fetched(state, name, ticket).catch(
      ({ message }) => make("p", { text: `${TITLES[name]} is not shown: ${message}` })));
  if (problem) found.push(make("p", { text: problem }));
  if (n !== state.asked) { // asked again, or gone, while they came
    if (!state.isOpen) clear(state);
    return;
  }
  state.asked = null;
  state.shown.replaceChildren(...found);
  state.press.disabled = false;
  state.press.textContent = "Put away";
  state.isOpen = true;
};

const pressed = (state) => {
  if (state.isOpen) {
    state.isOpen = false;
    clear(state);
    state.press.textContent = state.title;
    return;
  }
  const n = Date.now();
  state.asked = n;
  state.press.disabled = true; // a double click is one look
  setTimeout(() => { if (state.asked === n) state.press.disabled = false; }, AGAIN_MS);
  state.component.setTriggerValue("look", { n: state.asked });
};

const mounted = (component) => {
  const { data } = component;
  const title = data.names.length > 1 ? "Label and macro images" : TITLES[data.names[0]];
  const state = { component, data, title, urls: [], asked: null, taken: null, isOpen: false };
  state.press = button(title, () => pressed(state));
  state.shown = make("div", { class: "sl-shown" });
  const said = "They may show who the patient is. Each look is written into the audit log.";
  const root = make("div", { class: "sl" }, state.press, make("span", { text: said }), state.shown);
  component.parentElement.append(root);
  [state.lookAbove, state.unwatch] = onlyBelowItsHeading(root, () => state.data.api);
  return state;
};

export default (component) => {
  const { parentElement, data } = component;
  const state = mounts.get(parentElement) ?? mounted(component);
  mounts.set(parentElement, state);
  Object.assign(state, { component, data });
  state.lookAbove();
  const { look } = data;
  // an answer to a press of another mount is none: nothing is loaded that was not asked for here
  if (look && look.n === state.asked && look.n !== state.taken) {
    state.taken = look.n;
    show(state, look);
  }
  return () => {
    // Called where the component goes; a rerun keeps the element.
    setTimeout(() => {
      if (state.shown.isConnected) return;
      state.asked = null;
      clear(state);
      state.unwatch();
      mounts.delete(parentElement);
    }, 0);
  };
};
