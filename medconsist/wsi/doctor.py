"""What is known of a slide, which engine reads it and how fast, and what is wrong with it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medconsist.errors import MedconsistError, NoTissueError
from medconsist.results.tables import aligned
from medconsist.tiling.loader import TileLoader
from medconsist.wsi.bench.rho import Rho, compared, loader_pass, streams_of
from medconsist.wsi.look import Look, look_at
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.settings import Embedding
from medconsist.wsi.slide import Slide
from medconsist.wsi.storage import storage_of
from medconsist.wsi.tile_grid import TileGrid
from medconsist.wsi.tissue.picture import tissue_picture

__all__ = ["Examination", "Problem", "examine"]

_TIMED_TILES = 400  # some 0.1 to 1 core-seconds a pass


@dataclass(frozen=True)
class Problem:
    """What keeps a slide from being embedded.

    Parameters
    ----------
    reason
        Class of the error, e.g. ``"corrupt"``.
    sentence
        What was found, and what to do.

    Examples
    --------
    >>> Problem("no mpp", "the slide does not say its microns per pixel.").reason
    'no mpp'
    """

    reason: str
    sentence: str


@dataclass
class Examination:
    """Findings by name in the order in which they were made, and the problems.

    ``picture`` is a PNG of the overview with tissue and flags drawn; empty if it got not so far.

    Examples
    --------
    >>> Examination(Path("a.svs")).exit_code
    0
    """

    path: Path
    findings: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    picture: bytes = b""

    @property
    def exit_code(self) -> int:
        """0 if the slide can be embedded, else 2."""
        return 2 if self.problems else 0

    @property
    def text(self) -> str:
        """The findings as a table, the problems below it."""
        rows = [
            (name, line)
            for name, value in self.findings.items()
            for line in (map(str, value) if isinstance(value, list) else [str(value)])
        ]
        named = [
            (name if place == 0 or rows[place - 1][0] != name else "", line)
            for place, (name, line) in enumerate(rows)
        ]
        said = [f"cannot be embedded ({one.reason}): {one.sentence}" for one in self.problems]
        return "\n".join([aligned(named), *said] if named else said)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        problems = [{"reason": one.reason, "said": one.sentence} for one in self.problems]
        return {"slide": str(self.path), **self.findings, "problems": problems}


def examine(
    path: Path,
    *,
    target_mpp: float = 0.5,
    tile_px: int = 224,
    mpp: float | tuple[float, float] | None = None,
) -> Examination:
    """Examine a slide as far as it lets itself be examined.

    Parameters
    ----------
    path
        The file.
    target_mpp, tile_px
        Of the tiles whose time is estimated; by default those of ``wsi embed``.
    mpp
        Given instead of what the slide says.

    Raises
    ------
    MissingInputError
        There is no such file: nothing can be said of it.
    RefusedInputError
        ``target_mpp`` is not plausible.
    """
    settings = Embedding(target_mpp=target_mpp)
    found = Examination(path)
    stored = [one.words for one in storage_of(path)]
    try:
        slide = open_slide(path)
    except FileNotFoundError:
        raise
    except MedconsistError as error:
        if stored:
            found.findings["stored as"] = stored
        found.problems.append(Problem(error.reason, str(error)))
        return found
    with slide:
        _describe(found, slide, stored)
        try:
            known = slide.facts.mpp(given=mpp)
            found.findings["microns per pixel"] = f"{known.x:.6g} x {known.y:.6g} ({known.source})"
            _tissue(found, slide, look_at(slide, mpp=known, tile_px=tile_px, settings=settings))
        except MedconsistError as error:
            found.findings.setdefault("microns per pixel", "unknown")
            found.problems.append(Problem(error.reason, str(error)))
            found.picture = error.picture if isinstance(error, NoTissueError) else b""
    return found


def _describe(found: Examination, slide: Slide, stored: list[str]) -> None:
    facts, base = slide.facts, slide.facts.levels[0]
    levels = [
        f"{number}: {level.width} x {level.height}, downsample "
        + " x ".join(f"{scale:.6g}" for scale in level.affine(base).scale[::-1])
        for number, level in enumerate(facts.levels)
    ]
    found.findings["format"] = facts.vendor
    found.findings["bytes"] = facts.path.stat().st_size
    found.findings["levels"] = levels
    if facts.bounds is not None:
        bounds = facts.bounds
        found.findings["bounds"] = f"{bounds.width} x {bounds.height} at {bounds.x}, {bounds.y}"
    if facts.objective_power is not None:
        found.findings["objective"] = f"{facts.objective_power:g}x"
    if stored:
        found.findings["stored as"] = stored
    found.findings["engine"] = slide.engine
    if slide.notes:
        found.findings["notes"] = list(slide.notes)


def _tissue(found: Examination, slide: Slide, look: Look) -> None:
    """Add the stain, the tissue and its flags, and how long its tiles take."""
    tissue, grid, items = look.tissue, look.grid, look.choice.items
    found.findings["stain"] = f"{tissue.stain.kind} ({tissue.stain.reason})"
    found.findings["tissue"] = f"{tissue.area_mm2:.4g} mm^2"
    found.findings["flags"] = [
        f"{name}: {share:.1%} of the tissue"
        for name, share in look.quality.shares.items()
        if share is not None
    ]
    found.picture = tissue_picture(look.overview, mask=tissue.mask, flags=look.quality.masks)
    size = f"{grid.tile_px} px at {grid.target_mpp:g} um/px"
    found.findings["tiles"] = f"{len(items)} of {len(grid)} with tissue, {size}"
    notes = [*found.findings.get("notes", []), *look.notes]
    if notes:
        found.findings["notes"] = notes
    _time(found, slide, grid, items)


def _time(found: Examination, slide: Slide, grid: TileGrid, items: np.ndarray) -> None:
    timed = items[:_TIMED_TILES]
    loader = TileLoader(slide.tiles(grid, timed), threads=1)
    if isinstance(slide, DirectSlide):
        rho: Rho = compared(loader, streams_of(slide, most=_TIMED_TILES), rounds=3)
        pace = rho.loader
        found.findings["rho"] = (
            f"{rho.value:.3g}: stored tiles a core-second over libjpeg-turbo alone at full "
            f"size ({pace.decoded / pace.items:.3g} decoded for each tile)"
        )
    else:
        loader_pass(loader)
        pace = loader_pass(loader)
        found.findings["rho"] = "not measured: the streams are not decoded by medconsist"
    each = pace.core_seconds / pace.items
    found.findings["expected time"] = (
        f"{len(items) * each:.3g} core-seconds to decode all tiles with tissue "
        f"({1 / each:.4g} tiles a core-second here), without the encoder"
    )
