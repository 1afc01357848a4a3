"""Text of unknown origin made harmless, and the small HTML parts of the page."""

import html
import string
import unicodedata
from collections.abc import Sequence

__all__ = ["NOTICE", "badges", "markdown", "readable", "safe", "table"]

NOTICE = "Research use only, not for diagnosis."
"""Shown on every screen."""


def readable(text: str, *, limit: int = 400) -> str:
    """Return one line of text without control, format and bidirectional override characters.

    Such characters are drawn as the replacement character so that a reader sees that
    something was there; a longer text ends in an ellipsis. The result is *not* safe as HTML; for
    that there is `safe`.
    """
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(letter)[0] == "C" else letter
        for letter in shown
    )


def safe(text: str, *, limit: int = 400) -> str:
    """Return `readable` text escaped for HTML, for attribute values too."""
    return html.escape(readable(text, limit=limit), quote=True)


def markdown(text: str, *, limit: int = 400) -> str:
    """Return `readable` text in which no character is Markdown: every punctuation is escaped."""
    shown = readable(text, limit=limit)
    return "".join(f"\\{letter}" if letter in string.punctuation else letter for letter in shown)


def badges(texts: Sequence[str], *, tone: str = "quiet") -> str:
    """Return short labels in frames; ``tone`` is ``quiet``, ``advise`` or ``block``."""
    return " ".join(f'<span class="mc-badge mc-{safe(tone)}">{safe(text)}</span>' for text in texts)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str) -> str:
    """Return an HTML table with a caption for screen readers; every cell is escaped.

    Parameters
    ----------
    headings
        One per column; the first column names the row.
    rows
        Cells of each row as text; an empty cell is drawn as a dash.
    caption
        What the table holds.
    """
    head = "".join(f'<th scope="col">{safe(heading)}</th>' for heading in headings)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return (
        f'<table class="mc-table"><caption>{safe(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cells(row: Sequence[str]) -> str:
    # Configurations and versions are long, and a cut one would not say where a result comes from.
    first, *rest = (safe(cell, limit=20_000) or "–" for cell in row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest)
