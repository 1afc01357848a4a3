"""One scan of ``medconsist bench mri-coverage``: simulated, measured in several ways."""

from dataclasses import dataclass, replace
from time import process_time

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator

from medconsist.mri.benchmark.map_error import MapError
from medconsist.mri.draw_seeds import draw_seed
from medconsist.mri.evidence.features import object_mask, reference_intensity
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.draws import Acquisition, MaskDraw, undersample
from medconsist.mri.learned.model import LearnedModel, load_model
from medconsist.mri.sampling_masks import MaskKind, Poisson2D
from medconsist.mri.scan_pool import PoolConfig, ScanPool
from medconsist.mri.scan_series import CONTRASTS
from medconsist.mri.simulate import simulate
from medconsist.mri.uncertainty.scan_conformal import error_ratios, raised, scan_score
from medconsist.mri.uncertainty.step_spread import step_images

__all__ = ["BASE", "SHIFTS", "Kind", "Scored", "scored_scans"]

BASE = "as calibrated"
FASTER, NOISIER = "acceleration 12 (1-D: 9.6), beyond training", "noise x 2"
WRONG, COILS, POISSON = "coil maps wrong by 20 %", "4 coils, calibrated with 8", "Poisson disc"
POISSON += " 7.5x, a pattern unseen in training"
SHIFTS = (FASTER, NOISIER, WRONG, COILS, POISSON)

_MASKS = 1_000_003  # seeds of masks: apart from those of the scans
_MAP_ERROR = MapError(relative=0.2)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What all scans have in common.

    Parameters
    ----------
    series
        Of the seeds; see `draw_seed`.
    size, coils
        Rows and columns; receive coils.
    share
        Of the pixels of a scan that may be left uncovered.
    weights
        Of the network: a shipped name, or the path of a file.

    Examples
    --------
    >>> Kind().weights
    'cirim'
    """

    series: int = 0
    size: int = 96
    coils: int = 8
    share: float = 0.1
    weights: str = "cirim"


@dataclass(frozen=True, eq=False, kw_only=True)
class Scored:
    """One scan, measured in one way.

    Parameters
    ----------
    cell
        `BASE` or one of `SHIFTS`.
    contrast
        Of the scan.
    ratios
        See `error_ratios`, by the spread of the steps.
    flat_score
        `scan_score` by a heuristic that is the same at every pixel: the reference intensity.
    width
        Mean of the heuristic over the object, as a share of the reference intensity.
    core_seconds
        That the scan took: for the base with its simulation and its maps.

    Examples
    --------
    >>> one = Scored(cell=BASE, contrast="FLAIR", ratios=np.ones(10, dtype=np.float32),
    ...              flat_score=0.2, width=0.1, core_seconds=0.3)
    >>> one.score(0.1)
    1.0
    """

    cell: str
    contrast: str
    ratios: npt.NDArray[np.float32]
    flat_score: float
    width: float
    core_seconds: float

    def score(self, share: float) -> float:
        """Return `scan_score` by the spread of the steps."""
        return scan_score(torch.from_numpy(self.ratios), share=share)


def scored_scans(task: tuple[int, bool], *, kind: Kind) -> list[Scored]:
    """Return one scan as calibrated, and if asked for under every shift, the head being the same.

    Contrast, SNR and mask are drawn, so that scans are independent and of one law: contrasts that
    took turns would make calibration and test more alike than the exact law allows for.

    Parameters
    ----------
    task
        Number of the scan of the role ``"test"``, and whether it is shifted too.
    kind
        What all scans have in common.
    """
    number, is_shifted = task
    seed, model = draw_seed("test", number, series=kind.series), load_model(kind.weights)
    start = process_time()
    contrast, slices = _slices(seed, kind, kind.coils)
    found = [_scored(BASE, contrast, undersample(slices, _mask(seed, kind)), model, kind, start)]
    if not is_shifted:
        return found
    for cell in SHIFTS:
        start = process_time()
        shifted = _shifted(cell, slices, seed, kind)
        found.append(_scored(cell, contrast, shifted, model, kind, start))
    return found


def _shifted(cell: str, slices: ScanPool, seed: int, kind: Kind) -> Acquisition:
    mask = _mask(seed, kind)
    if cell == FASTER:
        mask = _mask(seed, kind, MaskDraw(acceleration=(12.0, 12.0)))
    elif cell == POISSON:
        mask = _mask(seed, kind, Poisson2D(acceleration=7.5, center=(12, 12)))
    elif cell == NOISIER:
        slices = slices.noisier(2 * slices.sigma, Generator().manual_seed(seed + _MASKS))
    elif cell == WRONG:
        wrong = _MAP_ERROR(slices.maps[:, None], Generator().manual_seed(seed + _MASKS))
        slices = replace(slices, maps=wrong[:, 0])
    elif cell == COILS:
        _, slices = _slices(seed, kind, max(1, kind.coils // 2))
    return undersample(slices, mask)


def _slices(seed: int, kind: Kind, coils: int) -> tuple[str, ScanPool]:
    generator = Generator().manual_seed(seed)
    contrast = list(CONTRASTS)[int(torch.randint(len(CONTRASTS), (), generator=generator))]
    drawn = PoolConfig(scans=1, slices=1, size=kind.size, coils=coils, contrasts=(contrast,))
    return contrast, ScanPool.of_scan(simulate(drawn.scan(0, generator), generator))


def _mask(seed: int, kind: Kind, draw: MaskKind | MaskDraw | None = None) -> torch.Tensor:
    generator = Generator().manual_seed(seed + _MASKS)
    return (draw or MaskDraw())((kind.size, kind.size), generator)[None]


def _scored(
    cell: str, contrast: str, seen: Acquisition, model: LearnedModel, kind: Kind, start: float
) -> Scored:
    measurement = Measurement(seen.samples, seen.mask, seen.maps, float(seen.sigma))
    made = step_images(model.network, measurement, scale=1.0)
    level = reference_intensity(made.image)
    flat = torch.full_like(made.spread, level)
    spread = raised(made.spread, made.image)[object_mask(made.image)]
    return Scored(
        cell=cell,
        contrast=contrast,
        ratios=error_ratios(made.image, seen.reference, made.spread).numpy(),
        flat_score=scan_score(error_ratios(made.image, seen.reference, flat), share=kind.share),
        width=float(spread.mean()) / level,
        core_seconds=process_time() - start,
    )
