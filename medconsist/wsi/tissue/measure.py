"""How often each flag finds a planted fault, and how often it finds one that is not there."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, UInt8

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics.report import Proportion, exact_binomial_interval
from medconsist.tiling.affine import Affine
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.simulate import SlideConfig, SlideTruth, simulate_pixels, slide_truth
from medconsist.wsi.simulated.config import FAULTS, SCANNERS
from medconsist.wsi.tile_grid import TileGrid
from medconsist.wsi.tissue.mask import tissue_mask
from medconsist.wsi.tissue.overview import Overview, area_reduced
from medconsist.wsi.tissue.quality import FLAGS, Quality, QualityConfig, quality_flags
from medconsist.wsi.tissue.stain import STAIN_KINDS, stain_kind

__all__ = ["TUNING_SEEDS", "FlagRow", "StainRow", "measure_flags", "measure_stains"]

TUNING_SEEDS = range(2000)
"""Slides seen while thresholds were chosen are among these; they are refused."""

_SIZE = (2560, 2048)
_MPP, _REDUCTION = 1.0, 8
_QUALITY = 80
_FOUND = 0.3
_FALSE_MM2 = 0.02

Mask = Bool[np.ndarray, "rows columns"]
Stain = Literal["he", "ihc", "fluorescence"]
_STAINS: tuple[Stain, ...] = ("he", "ihc", "fluorescence")


@dataclass(frozen=True, kw_only=True)
class FlagRow:
    """One figure of one flag over simulated slides.

    Parameters
    ----------
    flag
        Of ``pen fold blur blank``, or one colour of pen.
    figure
        ``"sensitivity"``: of the slides with this fault, those where the flag covers 30 % or more
        of it. ``"specificity"``: of the slides without it, those where less than 0.02 mm^2 of
        tissue is flagged; other faults may be there.
    proportion
        With the exact interval; the unit is the slide.
    mean_area
        Sensitivity: mean share of the fault's area that is flagged. Specificity: mean share of the
        healthy tissue that is not.

    Examples
    --------
    >>> FlagRow(flag="pen", figure="sensitivity", mean_area=0.9,
    ...         proportion=exact_binomial_interval(9, 10, unit="slide")).proportion.k
    9
    """

    flag: str
    figure: Literal["sensitivity", "specificity"]
    proportion: Proportion
    mean_area: float


@dataclass(frozen=True, kw_only=True)
class StainRow:
    """How many slides of a kind were taken for another, or for themselves.

    Examples
    --------
    >>> StainRow(true="he", found="unknown", n=1, n_true=20).n
    1
    """

    true: str
    found: str
    n: int
    n_true: int


@dataclass(frozen=True)
class _Finding:
    """One fault on one slide: whether planted, what share of it and of the rest was flagged."""

    flag: str
    planted: bool
    found_share: float
    false_share: float
    false_mm2: float


def measure_flags(
    seeds: Sequence[int],
    *,
    stain: Stain = "he",
    size: tuple[int, int] = _SIZE,
    config: QualityConfig | None = None,
) -> list[FlagRow]:
    """Return sensitivity and specificity of every flag that is assessed on a stain.

    Each seed draws a slide at 1 um a pixel, one of three scanners, each fault with
    probability one half; through JPEG of quality 80. A drawn slide is no patient's: the figures say
    that the flags work, not how well they work in a laboratory.

    Parameters
    ----------
    seeds
        One slide each (about 2 core-seconds), none of `TUNING_SEEDS`.
    stain
        Folds are assessed on ``"he"`` alone, pens not on ``"fluorescence"``.
    size
        Width and height of a slide [px of 1 um].
    config
        Thresholds.

    Raises
    ------
    RefusedInputError
        No seeds, or one that thresholds were chosen on.
    """
    _check(seeds)
    findings = [one for seed in seeds for one in _findings(_config(seed, stain, size), config)]
    names = dict.fromkeys(finding.flag for finding in findings)
    rows = []
    for name in names:
        mine = [finding for finding in findings if finding.flag == name]
        planted, healthy = ([f for f in mine if f.planted is is_in] for is_in in (True, False))
        if planted:
            found = [finding.found_share for finding in planted]
            rows.append(_row(name, "sensitivity", [one >= _FOUND for one in found], found))
        if healthy and name in FLAGS:
            clean = [finding.false_mm2 < _FALSE_MM2 for finding in healthy]
            spared = [1 - finding.false_share for finding in healthy]
            rows.append(_row(name, "specificity", clean, spared))
    return rows


def measure_stains(seeds: Sequence[int], *, size: tuple[int, int] = _SIZE) -> list[StainRow]:
    """Return the confusion of stain kinds over simulated slides, one of each stain a seed.

    Raises
    ------
    RefusedInputError
        No seeds, or one that thresholds were chosen on.
    """
    _check(seeds)
    rows = []
    for stain in _STAINS:
        kinds = []
        for seed in seeds:
            overview, _ = _drawn(_config(seed, stain, size))
            kinds.append(stain_kind(overview.picture).kind)
        rows += [
            StainRow(true=stain, found=kind, n=kinds.count(kind), n_true=len(kinds))
            for kind in STAIN_KINDS
        ]
    return rows


def _check(seeds: Sequence[int]) -> None:
    tuned = sorted(set(seeds) & set(TUNING_SEEDS))
    if tuned or not len(seeds):
        msg = f"measure on seeds that thresholds have not seen, got {tuned or 'none'}; allowed: "
        msg += f"all but {TUNING_SEEDS.start} to {TUNING_SEEDS.stop - 1}, e.g. range(2000, 2060)."
        raise RefusedInputError(msg)


def _config(seed: int, stain: Stain, size: tuple[int, int]) -> SlideConfig:
    draw = np.random.default_rng((seed, 5))
    return SlideConfig(
        width=size[0],
        height=size[1],
        mpp=_MPP,
        stain=stain,
        scanner=SCANNERS[int(draw.integers(len(SCANNERS)))],
        tumour=0.3,
        faults=tuple(name for name in FAULTS if draw.random() < 0.5),
        downsample=_REDUCTION,
        seed=seed,
    )


def _drawn(config: SlideConfig) -> tuple[Overview, UInt8[np.ndarray, "rows columns 3"]]:
    """Return the overview at 8 um, and the picture at 2 um that blur is measured on."""
    pil = require("PIL.Image", extra="wsi")
    stream = io.BytesIO()
    drawn = simulate_pixels(config, 0, 0, config.height, config.width)
    pil.fromarray(drawn).save(stream, "JPEG", quality=_QUALITY)
    pixels = np.asarray(pil.open(stream))
    overview = Overview(
        picture=area_reduced(pixels, (_REDUCTION, _REDUCTION)),
        affine=Affine((0.0, 0.0), (float(_REDUCTION), float(_REDUCTION))),
        mpp=Mpp(_MPP, _MPP, "simulated"),
    )
    return overview, area_reduced(pixels, (2, 2))


def _findings(config: SlideConfig, thresholds: QualityConfig | None) -> list[_Finding]:
    overview, half = _drawn(config)

    def read(grid: TileGrid, items: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        side = grid.tile_px
        corners = (grid.boxes(items)[:, :2] / 2).astype(np.int64)
        wide = np.pad(half, ((0, side), (0, side), (0, 0)), constant_values=255)
        return np.stack([wide[y : y + side, x : x + side] for x, y in corners])

    quality = quality_flags(overview, tissue_mask(overview), read=read, config=thresholds)
    return _compared(quality, slide_truth(config), overview)


def _compared(quality: Quality, truth: SlideTruth, overview: Overview) -> list[_Finding]:
    """Hold every flag against what was planted; a soft edge of 16 um around faults is left out."""
    findings = []
    nothing = np.zeros_like(truth.tissue)
    ndimage = require("scipy.ndimage", extra="wsi")
    hidden = [truth.faults[name] for name in truth.faults if name[:3] in ("pen", "bla")]
    covered = np.any([nothing, *hidden], axis=0)
    for flag, mask in quality.masks.items():
        planted = {n: m for n, m in truth.faults.items() if n == flag or n.startswith(f"{flag}-")}
        whole = np.any([nothing, *planted.values()], axis=0)
        edge = ndimage.binary_dilation(whole | covered, iterations=2)
        wrong = mask & truth.tissue & ~edge
        healthy = max(1, int((truth.tissue & ~edge).sum()))
        for name, fault in {flag: whole, **planted}.items():
            seen = fault if flag in ("pen", "blank") else fault & ~covered
            findings.append(
                _Finding(
                    flag=name,
                    planted=bool(seen.any()),
                    found_share=float(mask[seen].mean()) if seen.any() else 0.0,
                    false_share=float(wrong.sum()) / healthy,
                    false_mm2=float(wrong.sum()) * overview.pixel_mm2,
                )
            )
    return findings


def _row(
    flag: str,
    figure: Literal["sensitivity", "specificity"],
    right: Sequence[bool],
    area: Sequence[float],
) -> FlagRow:
    return FlagRow(
        flag=flag,
        figure=figure,
        proportion=exact_binomial_interval(sum(right), len(right), unit="slide"),
        mean_area=float(np.mean(area)),
    )
