"""The viewer as its users run it: served on loopback, seen by a real Chromium."""

from typing import Any

from playwright.sync_api import Locator, Page, expect

from medconsist.viewing.serving import free_port
from medconsist.viewing.serving import serving as served

__all__ = ["Watched", "at_rest", "free_port", "hides_below_another_name", "served"]

_REST = """(one) => new Promise((rest) => {
  let last = "";
  let since = 0;
  const look = (now) => {
    const { x, y } = one.getBoundingClientRect();
    if (last !== `${x} ${y}`) [last, since] = [`${x} ${y}`, now];
    if (now - since > 200) rest();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def at_rest(one: Locator) -> Locator:
    """An element, once nothing moved it for a fifth of a second.

    What opens slides its buttons along: a press that begins on one may end on another.
    """
    one.evaluate(_REST)
    return one


def hides_below_another_name(widget: Locator) -> None:
    """Check that a widget is on the screen below the heading of its own result alone."""
    heading = widget.page.locator(".mc-strip")
    own = heading.get_attribute("data-of") or ""
    keyed = widget.evaluate_handle("one => one.getRootNode().activeElement")
    expect(widget).to_be_visible()
    for other in (f"{own}0", ""):
        heading.evaluate("(strip, other) => { strip.dataset.of = other; }", other)
        expect(widget).to_be_hidden()
    heading.evaluate("(strip, own) => { strip.dataset.of = own; }", own)
    expect(widget).to_be_visible()
    keyed.evaluate("one => one?.focus()")  # what is hidden has no keyboard


class Watched:
    """A page with everything that it asked for and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda channel: self.requests.append(channel.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)
