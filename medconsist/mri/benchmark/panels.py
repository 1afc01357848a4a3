"""What the figures show: quality against parameters, against seconds, and against map error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from medconsist.metrics.report import Estimate, t_interval
from medconsist.mri.benchmark.cells import ShiftedCell
from medconsist.mri.benchmark.dose import doses_of
from medconsist.mri.benchmark.entrants import ENTRANTS, parameters_of
from medconsist.mri.benchmark.evaluation import Judged
from medconsist.mri.benchmark.rows import FIXED_BEFOREHAND, slice_seconds

__all__ = ["Curve", "Panel", "panels_of"]

_SSIM = "ssim"
_FAR_OFF = "zerofilled"  # beside it all others lie on one line


@dataclass(frozen=True)
class Curve:
    """One method: points from left to right.

    Parameters
    ----------
    name
        Of the method.
    x
        Positive numbers.
    y
        Means over scans with their intervals.

    Examples
    --------
    >>> Curve("unet", (1.0,), (t_interval([0.9, 0.8], unit="scan"),)).x
    (1.0,)
    """

    name: str
    x: tuple[float, ...]
    y: tuple[Estimate, ...]

    @property
    def is_sound(self) -> bool:
        """Whether every number can be drawn."""
        return all(math.isfinite(one.mean) and x > 0 for x, one in zip(self.x, self.y, strict=True))


@dataclass(frozen=True)
class Panel:
    """One figure.

    Parameters
    ----------
    file
        Name without suffix.
    title, across, upwards
        What is shown, and on which axes.
    curves
        Of each method.
    is_logarithmic
        Whether the horizontal axis is.

    Examples
    --------
    >>> Panel("a", "A", "x", "y", ()).is_logarithmic
    True
    """

    file: str
    title: str
    across: str
    upwards: str
    curves: tuple[Curve, ...]
    is_logarithmic: bool = True


def panels_of(judged: Judged, cells: Sequence[ShiftedCell], *, unit: str) -> tuple[Panel, ...]:
    """Return the figures that these cells can fill; intervals are those of Student's t."""
    cell = FIXED_BEFOREHAND[2]
    found = list[Panel]()
    if cell in judged.scores:
        found += [_against_parameters(judged, cell, unit), _against_seconds(judged, cell, unit)]
    found += _against_error(judged, cells, unit)
    return tuple(panel for panel in found if panel.curves)


def _against_parameters(judged: Judged, cell: str, unit: str) -> Panel:
    weights = {
        name: float(parameters_of(ENTRANTS[name].network))
        for name in judged.scores[cell].methods
        if name in ENTRANTS
    }
    curves = [
        Curve(name, (count,), (_mean(judged, cell, name, unit),)) for name, count in weights.items()
    ]
    title = f"SSIM against parameters at {cell}, equal training time"
    return Panel("ssim-parameters", title, "parameters", "SSIM", tuple(curves))


def _against_seconds(judged: Judged, cell: str, unit: str) -> Panel:
    seconds = slice_seconds(judged)
    curves = [
        Curve(name, (median(seconds[name]),), (_mean(judged, cell, name, unit),))
        for name in judged.scores[cell].methods
        if name != _FAR_OFF
    ]
    title = f"SSIM against the time of one slice on one core, at {cell}"
    return Panel("ssim-seconds", title, "seconds a slice", "SSIM", tuple(curves))


def _against_error(judged: Judged, cells: Sequence[ShiftedCell], unit: str) -> list[Panel]:
    forms = [name for name, one in ENTRANTS.items() if "dose" in one.views]
    panels = []
    for dose in doses_of(cells):
        clean = judged.scores[dose.clean].values
        is_smooth = "smooth" in dose.words
        unit_of = 10.0 if is_smooth else 1.0  # slopes are said per 10 %
        curves = []
        for name in forms:
            columns = [judged.scores[one].values.get((name, _SSIM)) for one in dose.levels.values()]
            if (name, _SSIM) in clean and all(columns):
                lost = [
                    t_interval(
                        [a - b for a, b in zip(clean[name, _SSIM], column or (), strict=True)],
                        unit=unit,
                    )
                    for column in columns
                ]
                curves.append(Curve(name, tuple(unit_of * x for x in dose.levels), tuple(lost)))
        across = "smooth map error [%]" if is_smooth else "shift of the maps [pixels]"
        file = "ssim-map-error" if is_smooth else "ssim-map-shift"
        title = f"SSIM lost at {dose.clean} with wrong coil maps"
        panels.append(Panel(file, title, across, "SSIM lost", tuple(curves), is_logarithmic=False))
    return panels


def _mean(judged: Judged, cell: str, name: str, unit: str) -> Estimate:
    return t_interval(judged.scores[cell].values[name, _SSIM], unit=unit)
