"""How a widget comes to the page: its files are read and registered once for the process."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

__all__ = ["run_again", "widget"]

FOLDER = Path(__file__).parent.parent / "js"
COMMON = "common.js"


def widget(name: str, scripts: Sequence[str], *, html: str = "") -> Callable[..., Any]:
    """Return the component of a name, made of html, ``<name>.css`` and scripts.

    Parameters
    ----------
    name
        As its files are called.
    scripts
        Joined in this order to one module, behind what all widgets share: what a component is given
        has no address to import from.
    html
        What it begins with.
    """
    return st.components.v2.component(
        f"medconsist_{name}",
        html=html,
        css=_read(f"{name}.css"),
        js="\n".join(_read(script) for script in (COMMON, *scripts)),
    )


def run_again() -> None:
    """Run the page again, which hands out a new ticket."""


def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")
