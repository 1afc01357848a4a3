"""How a slide is stained, by the colours that its tissue takes from the light."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from medconsist.errors import RefusedInputError, UnsupportedInputError
from medconsist.wsi.tissue.optical_density import filled, optical_density

__all__ = ["STAIN_KINDS", "StainConfig", "StainEvidence", "check_stain", "stain_kind"]

StainKind = Literal["he", "ihc", "fluorescence", "unknown"]
STAIN_KINDS: tuple[StainKind, ...] = ("he", "ihc", "fluorescence", "unknown")


@dataclass(frozen=True, kw_only=True)
class StainConfig:
    """What decides the kind; shares are of the stained pixels unless said otherwise.

    Parameters
    ----------
    min_pixels
        Fewer stained (or lit) pixels leave the kind unknown.
    density
        A pixel is stained from this optical density on.
    dark
        A pixel is dark whose brightest channel is below it [0 to 255].
    dark_share
        Of all pixels: fluorescence from here on, if none is as bright as glass.
    lit
        A pixel of a dark picture is lit whose brightest channel is this or more [0 to 255].
    brown_share
        Immunohistochemistry (DAB) from here on.
    pink_share
        Haematoxylin and eosin from here on, if brown stays below its share.

    Examples
    --------
    >>> StainConfig().min_pixels
    100
    """

    min_pixels: int = 100
    density: float = 0.1
    dark: int = 64
    dark_share: float = 0.3
    lit: int = 24
    brown_share: float = 0.05
    pink_share: float = 0.2


@dataclass(frozen=True, kw_only=True)
class StainEvidence:
    """The kind and the numbers behind it.

    Parameters
    ----------
    kind
        ``"unknown"`` where the numbers decide nothing.
    reason
        Why, in words.
    n_pixels
        Stained (bright field) or lit (fluorescence) pixels.
    dark_share, glass_share
        Of all pixels but pure white ones: dark; as bright as empty glass.
    pink_share, brown_share, blue_share
        Of the stained pixels: those that lose green alone (eosin), blue as much as green (DAB), red
        as much as green (haematoxylin).

    Examples
    --------
    >>> stain_kind(np.full((20, 20, 3), (225, 140, 190), np.uint8)).kind
    'he'
    """

    kind: StainKind
    reason: str
    n_pixels: int
    dark_share: float
    glass_share: float
    pink_share: float
    brown_share: float
    blue_share: float


def stain_kind(
    picture: UInt8[np.ndarray, "rows columns 3"], *, config: StainConfig | None = None
) -> StainEvidence:
    """Tell H&E, DAB immunohistochemistry and fluorescence apart on an overview.

    Fluorescence has a dark background and no glass. In bright field each stained pixel is counted
    by the ratios of its optical densities over red, green and blue: eosin takes green alone, DAB
    blue as much as green, haematoxylin red as much as green. The limits were set on the simulated
    scanners. Special stains that look pink or brown (PAS, silver, melanin) cannot be told from
    these two by colour; haematoxylin alone stays unknown.

    References
    ----------
    The optical densities of the dyes: A. C. Ruifrok, D. A. Johnston, Anal. Quant. Cytol. Histol.
    23 (2001) 291 to 299.
    """
    config = config or StainConfig()
    seen = picture[~filled(picture)].reshape(-1, 1, 3)
    brightest = seen.max(-1)
    dark = _share(brightest < config.dark)
    glass = _share((seen >= 200).all(-1))
    if dark >= config.dark_share and glass < 0.01:
        lit = int((brightest >= config.lit).sum())
        enough = lit >= config.min_pixels
        shares = (dark, glass, 0.0, 0.0, 0.0)
        if enough:
            return _evidence("fluorescence", f"{dark:.0%} dark, no glass", lit, shares)
        return _evidence("unknown", f"dark, only {lit} lit pixels", lit, shares)
    if not len(seen):
        return _evidence("unknown", "only pure white pixels", 0, (0.0,) * 5)
    density = optical_density(seen)
    red, green, blue = np.moveaxis(density.colours[density.strongest >= config.density], -1, 0)
    pink = _share((red < 0.6 * green) & (blue < 0.72 * green))
    brown = _share((blue > 0.92 * green) & (red > 0.35 * green) & (red < 0.9 * green))
    blueish = _share((red >= 0.6 * green) & (red < 1.15 * green) & (blue < 0.72 * green))
    shares = (dark, glass, pink, brown, blueish)
    return _bright_field(len(red), shares, config)


def check_stain(
    evidence: StainEvidence,
    *,
    made_for: Sequence[str],
    policy: Literal["refuse", "flag"] = "refuse",
) -> tuple[str, ...]:
    """Hold a slide against the stains that a model was made for; return what to flag.

    Parameters
    ----------
    evidence
        From `stain_kind`.
    made_for
        Kinds that the model knows, of ``he ihc fluorescence``.
    policy
        ``"refuse"`` raises for another kind and flags an unknown one; ``"flag"`` only flags.

    Returns
    -------
    Sentences for the report, none if the kind is one of ``made_for``.

    Raises
    ------
    UnsupportedInputError
        Another kind than the model was made for, under ``"refuse"``.
    RefusedInputError
        ``made_for`` is empty or names no kind.
    """
    known = STAIN_KINDS[:-1]
    if not made_for or not set(made_for) <= set(known):
        msg = f"made_for must name some of {known}, got {tuple(made_for)}."
        raise RefusedInputError(msg)
    if evidence.kind in made_for:
        return ()
    said = f"the stain looks {evidence.kind} ({evidence.reason}); the model was made for "
    said += f"{', '.join(made_for)}"
    if evidence.kind != "unknown" and policy == "refuse":
        msg = f"{said}. Use a model for this stain, or leave out --refuse-other-stain."
        raise UnsupportedInputError(msg)
    return (f"{said}.",)


def _bright_field(
    n_pixels: int, shares: tuple[float, float, float, float, float], config: StainConfig
) -> StainEvidence:
    _, _, pink, brown, blue = shares
    said = f"{pink:.0%} pink, {brown:.0%} brown, {blue:.0%} blue of {n_pixels} stained pixels"
    if n_pixels < config.min_pixels:
        return _evidence("unknown", f"only {n_pixels} stained pixels", n_pixels, shares)
    if brown >= config.brown_share:
        return _evidence("ihc", said, n_pixels, shares)
    if pink >= config.pink_share:
        return _evidence("he", said, n_pixels, shares)
    return _evidence("unknown", said, n_pixels, shares)


def _evidence(
    kind: StainKind, reason: str, n_pixels: int, shares: tuple[float, ...]
) -> StainEvidence:
    dark, glass, pink, brown, blue = shares
    return StainEvidence(
        kind=kind,
        reason=reason,
        n_pixels=n_pixels,
        dark_share=dark,
        glass_share=glass,
        pink_share=pink,
        brown_share=brown,
        blue_share=blue,
    )


def _share(chosen: np.ndarray) -> float:
    return float(chosen.mean()) if chosen.size else 0.0
