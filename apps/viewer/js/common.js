// What every widget is made of: elements, keys, addresses. Every text goes in as text.

// A ticket holds for fifteen minutes, and so does a sitting in which nothing is heard of the reader.
const RENEW_MS = 10 * 60 * 1000;

/** An element with its attributes; `text` is its text, `on...` what it listens with. */
function make(tag, facts = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function button(text, press, facts = {}) {
  return make("button", { type: "button", text, onclick: press, ...facts });
}

/** Keys and what they do, as a list. */
function keyList(keys) {
  return make("dl", {}, ...keys.flatMap(([key, words]) => [make("dt", { text: key }), make("dd", { text: words })]));
}

const TYPED_IN = "textarea, select, input:not([type=range]):not([type=checkbox]):not([type=file])";

/**
 * Whether a key is typed into a field, whose it is then: the page has keys of its own, such as N for
 * the next case, and does not see that a field inside of a widget has the keyboard.
 */
function isTyped(event) {
  if (!event.target.matches?.(TYPED_IN)) return false;
  if (event.key !== "Tab") event.stopPropagation();
  return true;
}

/** Whether a key belongs to the browser or to others: it comes with Ctrl, Alt or the like. */
function isOfOthers(event) {
  return event.ctrlKey || event.metaKey || event.altKey;
}

/**
 * Show an element only below the heading of its own result: while one case follows another, the page
 * may change the heading first. No frame is drawn between that and its being hidden. `api` returns the
 * address of the result; the first function returned looks again, the second ends the watch.
 */
function onlyBelowItsHeading(element, api) {
  const look = () => {
    const isOwn = document.querySelector(".mc-strip")?.dataset.of === api();
    element.style.visibility = isOwn ? "" : "hidden";
  };
  const watch = new MutationObserver(look);
  watch.observe(document.body, { attributeFilter: ["data-of"], childList: true, subtree: true });
  look();
  return [look, () => watch.disconnect()];
}

/** The address of a route below a result, with the ticket of now. */
function addressOf({ api, ticket }, path, query = {}) {
  const url = new URL(`${api}/${path}`, location.origin);
  for (const [name, value] of Object.entries({ ...query, t: ticket })) url.searchParams.set(name, String(value));
  return url;
}
