"""What was filed before: every version of every verdict, first impressions, and the log."""

import streamlit as st

from medconsist.review.entries import Entry
from medconsist.review.records import Impression, Verdict
from medconsist.viewing.case_log import HEADINGS, case_log
from medconsist.viewing.leaving.verdict_line import time_words
from medconsist.viewing.markup import safe, table
from screens.review_panel import Panel

__all__ = ["draw_log", "draw_past", "entry_html"]


def draw_past(panel: Panel) -> None:
    """Draw verdicts and first impressions of the case, the newest first, replaced ones too."""
    entries = [*panel.thread("verdict"), *panel.thread("impression")]
    entries.sort(key=lambda one: (one.created, one.id), reverse=True)
    replaced = {one.supersedes for one in entries}
    with st.expander(f"History ({len(entries)})"):
        if not entries:
            st.caption("Nothing was filed.")
        key = panel.subject.key
        for entry in entries:
            st.html(entry_html(entry, is_replaced=entry.id in replaced, key=key))


def entry_html(entry: Entry, *, is_replaced: bool, key: str) -> str:
    """Return one version: what was decided, by whom, when, what it means and what it binds."""
    body = entry.body
    if not isinstance(body, Verdict | Impression):
        return ""
    state = body.state if isinstance(body, Verdict) else "first impression"
    words = [f"{state}{', replaced' if is_replaced else ''}: {body.opinion.value}"]
    words.append(f"{entry.author} · {time_words(entry.created)}")
    if isinstance(body, Verdict):
        if body.printed_name is not None:
            words.append(f"signed as {body.printed_name}, meaning {body.meaning}")
        if body.amended_because is not None:
            words.append(f"amended because: {body.amended_because}")
        if body.reasons:
            words.append(f"reasons: {', '.join(body.reasons)}")
    if body.comment:
        words.append(body.comment)
    if body.subject.key != key:
        words.append("on another result of the case")
    first, *rest = (safe(one, limit=10_000) for one in words)
    sha = body.subject.content_sha256
    lines = "".join(f"<span>{one}</span>" for one in rest)
    return (
        f'<div class="mc-note"><p>{first}</p>{lines}'
        f'<span title="{sha}">sha256 <code>{sha[:12]}</code>…</span></div>'
    )


def draw_log(panel: Panel) -> None:
    """Draw what the audit chain says of the case, for who may read it."""
    if not panel.opened.may("audit"):
        return
    subject = panel.subject
    with st.expander("Log of the case"):
        rows = case_log(panel.store, panel.person, subject.study, subject.case)
        st.html(table(HEADINGS, rows, caption="Newest links of the audit chain first"))
