"""What OpenSlide says of a slide before a pixel is decoded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medconsist.wsi.slide import Bounds, Level, SlideFacts

__all__ = ["ASSOCIATED", "associated_sizes", "facts_of", "stored_tile"]

ASSOCIATED = ("label", "macro")
"""Pictures of the glass beside the levels, which may show a name; a thumbnail is a level again."""

_BOUNDS = tuple(f"openslide.bounds-{name}" for name in ("x", "y", "width", "height"))


def facts_of(path: Path, handle: Any) -> SlideFacts:  # noqa: ANN401  openslide has no stubs
    """Return the facts of a slide from an open handle of OpenSlide.

    Parameters
    ----------
    path
        The file.
    handle
        An ``openslide.OpenSlide`` of it.
    """
    properties = dict(handle.properties)
    return SlideFacts(
        path=path,
        vendor=properties.get("openslide.vendor", "unknown"),
        levels=tuple(Level(width, height) for width, height in handle.level_dimensions),
        properties=properties,
        bounds=_bounds(properties),
    )


def stored_tile(facts: SlideFacts, level: int) -> tuple[int, int] | None:
    """Return width and height of the stored tiles of a level; None where the file has none."""
    names = (f"openslide.level[{level}].tile-{name}" for name in ("width", "height"))
    said = [facts.properties.get(name) for name in names]
    if None in said:
        return None
    width, height = (int(value or 0) for value in said)
    return width, height


def associated_sizes(facts: SlideFacts) -> dict[str, tuple[int, int]]:
    """Return width and height of each picture of `ASSOCIATED` that a slide has, none decoded.

    Examples
    --------
    >>> from medconsist.wsi.slide import Level
    >>> associated_sizes(SlideFacts(path=Path("a.svs"), vendor="aperio", levels=(Level(8, 8),)))
    {}
    """
    said = facts.properties
    names = {name: f"openslide.associated.{name}" for name in ASSOCIATED}
    return {
        name: (int(said[f"{at}.width"]), int(said[f"{at}.height"]))
        for name, at in names.items()
        if f"{at}.width" in said and f"{at}.height" in said
    }


def _bounds(properties: Mapping[str, str]) -> Bounds | None:
    if not all(name in properties for name in _BOUNDS):
        return None
    x, y, width, height = (int(properties[name]) for name in _BOUNDS)
    return Bounds(x=x, y=y, width=width, height=height)
