"""The map of uncertainty of one scan, as a result stores it."""

from dataclasses import dataclass
from typing import Any

from medconsist.mri.prepare import PreparedVolume
from medconsist.mri.shown_first import LEARNED_ROLE, Judged, Solved
from medconsist.mri.uncertainty.settings import Uncertainty, deciding_settings
from medconsist.shapes import RealImages
from medconsist.training.draws import generator_for

__all__ = ["ROLES", "ScanMap", "refuse_other_calibration", "scan_map"]

ROLES = ("uncertainty", f"uncertainty_{LEARNED_ROLE}")
"""Role of the map where the image is shown first, and where a network's is shown second."""

_DRAWS = 1  # place of random numbers


@dataclass(frozen=True, eq=False)
class ScanMap:
    """A map beside the image of the method that was asked for.

    Parameters
    ----------
    role
        One of `ROLES`.
    values
        In the units of the k-space file.
    method
        Whose image it is about.
    note
        What it means, as a sentence.

    Examples
    --------
    >>> import torch
    >>> ScanMap(ROLES[0], torch.zeros(1, 4, 4), "cs", "A note.").role
    'uncertainty'
    """

    role: str
    values: RealImages
    method: str
    note: str


def refuse_other_calibration(
    wanted: Uncertainty | None,
    config: dict[str, Any],
    prepared: PreparedVolume,
    *,
    maps_given: bool,
) -> None:
    """Refuse a calibration of another method, preparation or source of the noise level.

    Raises
    ------
    RefusedInputError
        Names the first difference.
    """
    if wanted is not None and wanted.calibration is not None:
        wanted.calibration.refuse_other(
            deciding_settings(config, maps_given=maps_given, noise_from=prepared.noise_from)
        )


def scan_map(
    wanted: Uncertainty, prepared: PreparedVolume, asked: Solved, judged: Judged, *, seed: int
) -> ScanMap:
    """Return the map of the method that was asked for, also where its image is shown second.

    A calibration promises something over all scans of that method; a map of only those whose
    image is shown first would be of a selection.

    Parameters
    ----------
    wanted
        Which map.
    prepared
        What all methods saw.
    asked
        The method that was asked for, solved.
    judged
        What is stored, and in which order.
    seed
        Of noise and splits.
    """
    made_maps = prepared.calibration  # all False where maps were given
    found = wanted.heuristic(
        asked.fixed,
        prepared.measurement,
        calibration=int(max(made_maps.any(0).sum(), made_maps.any(1).sum())),
        generator=generator_for(seed, _DRAWS),
    )
    is_first = judged.by_role["reconstruction"] is asked
    role, name = ROLES[not is_first], asked.method.name
    values = wanted.shown(found, asked.image) * prepared.scale
    return ScanMap(role, values, name, wanted.note(role, name))
