"""Microns per pixel: a value with its source, or an error; never a guess."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from medconsist.errors import NoMppError
from medconsist.manifests.columns import PLAUSIBLE_MPP

__all__ = ["PLAUSIBLE_MPP", "Given", "Mpp", "mpp_of"]

Given = float | int | tuple[float | int, float | int]

GIVEN = "given"


@dataclass(frozen=True)
class Mpp:
    """Microns per level-0 pixel along x and y, and who says so.

    Parameters
    ----------
    x, y
        [um/px], within `PLAUSIBLE_MPP`.
    source
        ``"given"`` for a user's or a manifest's word, else the name of the slide's property.

    Raises
    ------
    NoMppError
        A value is not finite or not plausible.

    Examples
    --------
    >>> Mpp(0.499, 0.499, "aperio.MPP").source
    'aperio.MPP'
    """

    x: float | int
    y: float | int
    source: str

    def __post_init__(self) -> None:
        low, high = PLAUSIBLE_MPP
        for value in (self.x, self.y):
            if not (math.isfinite(value) and low <= value <= high):
                msg = (
                    f"microns per pixel of {value:g} ({self.source}) cannot be right; plausible is "
                    f"{low} to {high}. Give the true value by --mpp."
                )
                raise NoMppError(msg)


def mpp_of(properties: Mapping[str, str], *, given: Given | None = None) -> Mpp:
    """Return the microns per pixel: as given, else as the properties of OpenSlide say.

    Parameters
    ----------
    properties
        Of OpenSlide: ``openslide.mpp-x`` and ``openslide.mpp-y`` are read.
    given
        [um/px], one value or x and y; it goes before the slide's own word.

    Raises
    ------
    NoMppError
        Nothing was given and the slide says nothing, or what was said is not plausible.

    Examples
    --------
    >>> mpp_of({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25"}).x
    0.25
    """
    if given is not None:
        x, y = given if isinstance(given, tuple) else (given, given)
        return Mpp(float(x), float(y), GIVEN)
    names = ("openslide.mpp-x", "openslide.mpp-y")
    if not all(name in properties for name in names):
        msg = "the slide does not say its microns per pixel. Give the value by --mpp, e.g. 0.25."
        raise NoMppError(msg)
    try:
        x, y = (float(properties[name]) for name in names)
    except ValueError as error:
        said = [properties[name] for name in names]
        msg = f"the slide says {said} for its microns per pixel. Give the value by --mpp."
        raise NoMppError(msg) from error
    return Mpp(x, y, _source(properties))


def _source(properties: Mapping[str, str]) -> str:
    """Return the vendor's own property, where OpenSlide takes the value from one that we know."""
    # Files of Ventana and Philips are TIFF too, so their own word comes before its resolution tag.
    known = ("aperio.MPP", "philips.DICOM_PIXEL_SPACING", "ventana.ScanRes", "tiff.XResolution")
    return next((name for name in known if name in properties), "openslide.mpp-x")
