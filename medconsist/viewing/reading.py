"""One stored result opened for reading: verified volumes, their shared windows and scales."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from medconsist.errors import MedconsistError
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore, StoredResult
from medconsist.viewing.panes import Pane, image_roles, read_pane, sampled
from medconsist.viewing.trust_maps import map_roles
from medconsist.viewing.windowing import PRESETS, Window, percentile_window, white_level

__all__ = ["Reading", "WindowPercent", "open_reading", "original_elsewhere"]


@dataclass(frozen=True)
class WindowPercent:
    """Level and width in per cent of the white level of a case, to 0.1 %.

    Parameters
    ----------
    level, width
        In [%] of the white level.

    Examples
    --------
    >>> WindowPercent(level=50.0, width=100.0).window(white=3.0).high
    3.0
    """

    level: float
    width: float

    def window(self, white: float) -> Window:
        """Return the window in the unit of the images."""
        return Window(level=self.level / 100 * white, width=self.width / 100 * white)


@dataclass(frozen=True, eq=False)
class Reading:
    """All that the page draws of one result.

    Parameters
    ----------
    result
        The verified ``result.json``.
    images, maps
        Role to pane, in the order of the screen.
    white
        White level: pooled 99th percentile of all images, in their unit; 1 if there is none.
    limit
        Brightest value in [%] of the white level, at least 200: the end of the window sliders.
    presets
        Name to window; a preset that has no width in this case is left out.
    mask
        Where k-space was measured, one mask for all slices or one each; None if not stored.

    Examples
    --------
    >>> Reading.__dataclass_params__.frozen
    True
    """

    result: Result
    images: Mapping[str, Pane]
    maps: Mapping[str, Pane]
    white: float
    limit: float
    presets: Mapping[str, WindowPercent]
    mask: Bool[np.ndarray, "masks height width"] | None

    @property
    def drawable(self) -> list[str]:
        """Roles of the images that can be drawn."""
        return [role for role, pane in self.images.items() if pane.values is not None]

    @property
    def n_slices(self) -> int:
        """Number of slices of the shared grid, 0 if nothing can be drawn."""
        shapes = [p.values.shape for p in self.images.values() if p.values is not None]
        return shapes[0][0] if shapes else 0


def open_reading(stored: StoredResult) -> Reading:
    """Return the result with every array verified; broken arrays stay as panes with a problem."""
    images = [read_pane(stored, role) for role in image_roles(stored.result)]
    maps = [read_pane(stored, role, signed=True) for role in map_roles(stored.result)]
    drawn = _on_one_grid([*images, *maps])
    volumes = [pane.values for pane in drawn[: len(images)] if pane.values is not None]
    white = white_level(volumes) if volumes else 1.0
    brightest = max((float(volume.max()) for volume in volumes), default=0.0)
    limit = float(max(200, math.ceil(100 * brightest / white)))
    return Reading(
        result=stored.result,
        images={pane.role: pane for pane in drawn[: len(images)]},
        maps={pane.role: pane for pane in drawn[len(images) :]},
        white=white,
        limit=limit,
        presets=_presets(volumes, white, limit),
        mask=sampled(stored),
    )


def original_elsewhere(store: ResultStore, case: str, keys: Sequence[str]) -> Pane | None:
    """Return the zero-filled image of the first of ``keys`` that verifies, None if none does.

    For the screen of a result that cannot be read: the original is shown without it.
    """
    for key in keys:
        try:
            stored = store.read(case, key)
        except MedconsistError:
            continue
        pane = read_pane(stored, "zerofilled") if "zerofilled" in stored.roles() else None
        if pane is not None and pane.values is not None:
            return pane
    return None


def _presets(
    volumes: Sequence[np.ndarray], white: float, limit: float
) -> Mapping[str, WindowPercent]:
    presets = {"Auto": WindowPercent(50.0, 100.0)}
    for name, ends in PRESETS.items() if volumes else ():
        window = percentile_window(volumes, percentiles=ends)
        level, width = round(100 * window.level / white, 1), round(100 * window.width / white, 1)
        # Background that is exactly zero leaves some presets without width: they are no choice.
        if 0.1 <= width <= limit and level <= limit:
            presets[name] = WindowPercent(level, width)
    return presets


def _on_one_grid(panes: Sequence[Pane]) -> list[Pane]:
    shapes = [pane.values.shape for pane in panes if pane.values is not None]
    return [_checked(pane, shapes[0]) if pane.values is not None else pane for pane in panes]


def _checked(pane: Pane, shape: tuple[int, ...]) -> Pane:
    seen = pane.record.shape
    if seen == shape:
        return pane
    msg = f"Not drawn: its grid {seen} is not the grid {shape} of the other images."
    return replace(pane, values=None, problem=msg)
