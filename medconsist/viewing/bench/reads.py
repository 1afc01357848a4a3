"""What a reader needs for one read: clicks, keys and seconds of a scripted read of each screen.

A read begins on the worklist and ends on the next case: open, look through, pin a comment to a
place, sign, go on. The script waits for the page and never thinks, so that its seconds are what
the program takes of the reader's time, no more. Every letter of the comment counts as a key.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from medconsist.errors import MissingInputError
from medconsist.results.bench import BenchRow

__all__ = ["READS", "Hand", "Read", "comment_on", "go_on", "open_case", "read_rows", "sign"]

WAIT_MS = 90_000
WORDS = "seen"
_VIEW = {"width": 1600, "height": 1200}
_SETTLED = """root => new Promise((done) => setTimeout(done, 300))"""

logger = logging.getLogger(__name__)


@dataclass
class Hand:
    """One hand on mouse and keyboard, which counts what it does.

    Parameters
    ----------
    page
        Of Playwright.
    clicks, keys
        Done until now.

    Examples
    --------
    ::

        hand = Hand(page)
        hand.click(page.get_by_role("button", name="File comment"))
    """

    page: Any
    clicks: int = 0
    keys: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the hand was made."""
        return time.monotonic() - self.started

    def click(self, what: Any, **where: Any) -> None:  # noqa: ANN401  a locator of Playwright
        """Click once, when what is there lets itself be clicked."""
        what.click(timeout=WAIT_MS, **where)
        self.clicks += 1

    def press(self, *keys: str) -> None:
        """Press keys one by one, where the focus is."""
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def write(self, text: str) -> None:
        """Type a text, where the focus is."""
        self.page.keyboard.type(text)
        self.keys += len(text)

    def button(self, name: str) -> None:
        """Click the button of this name, once it is enabled."""
        button = self.page.get_by_role("button", name=name, exact=True)
        waited(button, lambda: button.count() == 1 and button.is_enabled())
        self.click(button)


@dataclass(frozen=True)
class Read:
    """How one screen is read.

    Parameters
    ----------
    case, kind
        What the row is called, and the beginning of the kind of the results.
    ready
        Locator of the screen when its pixels are drawn.
    focus
        Locator of what is clicked so that keys go to the screen.
    look
        Looks through all of it by keys.
    pin
        Marks the place of a comment.
    """

    case: str
    kind: str
    ready: str
    focus: str
    look: Callable[[Hand], None]
    pin: Callable[[Hand], None]


def waited(what: Any, holds: Callable[[], bool]) -> None:  # noqa: ANN401  a locator of Playwright
    """Wait until something holds.

    Raises
    ------
    MissingInputError
        It does not within 90 seconds.
    """
    end = time.monotonic() + WAIT_MS / 1000
    while not holds():
        if time.monotonic() > end:
            msg = f"the page did not come to where {what} can be used within 90 seconds."
            raise MissingInputError(msg)
        what.page.wait_for_timeout(50)


def open_case(hand: Hand, read: Read) -> None:
    """Open the first case of the kind from the worklist, and put the keys on its screen."""
    row = hand.page.locator(".wl tbody tr:not(.why)").first
    hand.click(row)
    hand.page.locator(read.ready).first.wait_for(timeout=WAIT_MS)
    hand.page.get_by_text("on the screen: sha256").wait_for(timeout=WAIT_MS)
    hand.click(hand.page.locator(read.focus).first)


def comment_on(hand: Hand, read: Read, words: str = WORDS) -> None:
    """Pin a comment to a place of the image and file it."""
    page = hand.page
    read.pin(hand)
    page.get_by_text("New comment at").wait_for(state="attached", timeout=WAIT_MS)
    text = page.get_by_label("New comment")
    if not text.is_visible():
        hand.click(page.get_by_text("Comments and shapes"))
    hand.click(text)
    hand.write(words)
    hand.button("File comment")
    page.get_by_text("Comment filed.").wait_for(timeout=WAIT_MS)


def sign(hand: Hand, opinion: str = "accept") -> None:
    """Decide and sign."""
    page = hand.page
    hand.click(page.get_by_text(opinion, exact=True).last)
    hand.button("Sign …")
    dialog = page.get_by_role("dialog")
    hand.click(dialog.get_by_text("I have read this result"))
    hand.button("Sign now")
    dialog.wait_for(state="hidden", timeout=WAIT_MS)
    page.get_by_text("Signed by ").first.wait_for(timeout=WAIT_MS)


def go_on(hand: Hand) -> None:
    """Open the next case of the list, or read that there is none."""
    before = hand.page.url
    said = hand.page.get_by_text("No case after this one")
    hand.press("n")
    waited(said, lambda: hand.page.url != before or said.count() > 0)


def read_rows(browser: Any, address: str) -> tuple[BenchRow, ...]:  # noqa: ANN401  of Playwright
    """Read one case on each screen of a viewer, and count.

    Parameters
    ----------
    browser
        Of Playwright.
    address
        Of a viewer with a review store in which the person may sign. The first case of a kind in
        its worklist is read, and signed; a kind without a case has no row.

    Raises
    ------
    MissingInputError
        A page does not come to where it can be read.
    """
    rows = list[BenchRow]()
    for read in READS:
        rows += _read(browser, address, read)
    return tuple(rows)


def _read(browser: Any, address: str, read: Read) -> list[BenchRow]:  # noqa: ANN401
    page = browser.new_page(viewport=_VIEW)
    try:
        page.goto(f"{address}/?words={read.kind}.")
        page.locator(".wl tbody, .wl caption").first.wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(1000)  # of an empty list no row ever comes
        if page.locator(".wl tbody tr:not(.why)").count() == 0:
            logger.info("%s: no case in the list", read.case)
            return []
        logger.info("%s ...", read.case)
        hand = Hand(page)
        open_case(hand, read)
        read.look(hand)
        comment_on(hand, read)
        sign(hand)
        go_on(hand)
        return _rows(read, hand, hand.seconds)
    finally:
        page.close()


def _rows(read: Read, hand: Hand, seconds: float) -> list[BenchRow]:
    counted = (("clicks", hand.clicks, "1"), ("keys", hand.keys, "1"), ("seconds", seconds, "s"))
    return [
        BenchRow(
            case=f"{read.case} read",
            metric=metric,
            value=value,
            unit=unit,
            n=1,
            unit_of_analysis="read",
        )
        for metric, value, unit in counted
    ]


def _look_mr(hand: Hand) -> None:
    """Every slice from the first, then the worst."""
    root = hand.page.locator(".mr")
    slices = root.evaluate("root => root.screen.state.frame.size[2]")
    hand.press("Home", *["ArrowDown"] * (slices - 1), "w")
    root.evaluate(_SETTLED)


def _look_slide(hand: Hand) -> None:
    """Every ranked tile where a model ranked some, else three magnifications; then the whole."""
    tiles = hand.page.locator(".ms [data-tile]").count()
    for key in ["]"] * tiles or ["1", "2", "3"]:
        hand.press(key)
        hand.page.wait_for_timeout(300)
    hand.press("0")
    hand.page.wait_for_timeout(600)


def _look_signal(hand: Hand) -> None:
    """Screen by screen to the end of the recording that was opened."""
    root = hand.page.locator(".signal")
    while True:
        before = root.get_attribute("data-start")
        hand.press("PageDown")
        root.evaluate(_SETTLED)
        if root.get_attribute("data-start") == before:
            return


def _pin_by(key: str) -> Callable[[Hand], None]:
    def pin(hand: Hand) -> None:
        hand.press(key)

    return pin


def _pin_slide(hand: Hand) -> None:
    hand.press("c")
    hand.click(hand.page.locator(".ms .openseadragon-canvas").first)


READS = (
    Read("MR", "mri", ".mr[data-ready]", ".mr .view", _look_mr, _pin_by("c")),
    Read(
        "slide", "wsi", ".ms[data-ready=yes]", ".ms .openseadragon-canvas", _look_slide, _pin_slide
    ),
    Read(
        "signals",
        "timeseries",
        '.signal[data-ready="true"]',
        '.signal [data-part="sheet"]',
        _look_signal,
        _pin_by("p"),
    ),
)
"""The screens, in the order of the report."""
