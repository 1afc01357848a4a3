"""Tissues, and the signal that a pulse sequence makes of them."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import RefusedInputError

__all__ = ["FLAIR", "T1W", "T2W", "TISSUES", "Anatomy", "Contrast", "Tissue", "tissue_index"]


@dataclass(frozen=True)
class Tissue:
    """Relaxation and proton density of one tissue.

    Parameters
    ----------
    name
        Word used in labels.
    m0
        Proton density relative to water, 0 to 1.
    t1_ms, t2_ms
        Longitudinal and transverse relaxation times [ms].

    Examples
    --------
    >>> Tissue("csf", 1.0, 2569.0, 329.0).t1_ms
    2569.0
    """

    name: str
    m0: float
    t1_ms: float
    t2_ms: float


# 1.5 T. csf, grey, white, fat, muscle: values of the BrainWeb phantom (Collins et al. 1998,
# doi:10.1109/42.712135), read back from the JEMRIS file of KomaMRI; the others are chosen to look
# right beside them and are nobody's measurement.
TISSUES = (
    Tissue("background", 0.0, 1000.0, 100.0),
    Tissue("muscle", 1.0, 900.0, 47.0),
    Tissue("fat", 1.0, 350.0, 70.0),
    Tissue("bone", 0.04, 900.0, 10.0),
    Tissue("marrow", 0.45, 400.0, 60.0),
    Tissue("csf", 1.0, 2569.0, 329.0),
    Tissue("grey", 0.86, 833.0, 83.0),
    Tissue("white", 0.77, 500.0, 70.0),
    Tissue("deep grey", 0.83, 690.0, 74.0),
    Tissue("lesion", 0.85, 900.0, 190.0),
)


def tissue_index(name: str) -> int:
    """Return the position of a tissue in `TISSUES`, which is also its label."""
    return [tissue.name for tissue in TISSUES].index(name)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What fills each point of the fine grid.

    Parameters
    ----------
    fractions
        Share of each of `TISSUES`, ``tissues slices height width``, summing to 1.

    Examples
    --------
    >>> Anatomy(torch.ones(10, 1, 2, 2) / 10).of("csf").shape
    torch.Size([1, 2, 2])
    """

    fractions: Float[Tensor, "tissues slices height width"]

    def of(self, name: str) -> Tensor:
        """Return the share of one tissue, ``slices height width``."""
        return self.fractions[tissue_index(name)]


@dataclass(frozen=True)
class Contrast:
    """A spin-echo sequence, with or without an inversion pulse before it.

    Spin echo::

        M0 (1 - 2 exp(-(TR - TE/2)/T1) + exp(-TR/T1)) exp(-TE/T2)

    after an inversion at -TI::

        M0 (1 - 2 exp(-TI/T1) + 2 exp(-(TR - TE/2)/T1) - exp(-TR/T1)) exp(-TE/T2)

    for perfect 90 and 180 degree pulses and spoiled transverse magnetisation. The sign stays: a
    tissue before its null point is negative.

    Parameters
    ----------
    name
        ``"T1w"``, ``"T2w"``, ``"FLAIR"`` or any other word.
    tr_ms, te_ms
        Repetition and echo time [ms], ``0 < TE < TR``.
    ti_ms
        Inversion time [ms], or None for no inversion.

    References
    ----------
    R. W. Brown et al., "Magnetic resonance imaging: physical principles and sequence design",
    2nd ed. (2014), ch. 8, doi:10.1002/9781118633953.

    Examples
    --------
    >>> abs(FLAIR.signal(TISSUES[5])) < 1e-3  # the inversion time nulls CSF
    True
    """

    name: str
    tr_ms: float
    te_ms: float
    ti_ms: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.te_ms < self.tr_ms or not (self.ti_ms is None or self.ti_ms > 0):
            msg = (
                f"got TR {self.tr_ms}, TE {self.te_ms}, TI {self.ti_ms} ms; allowed: 0 < TE < TR "
                "and TI positive or None."
            )
            raise RefusedInputError(msg)

    @property
    def kind(self) -> Literal["spin echo", "inversion recovery"]:
        """The sequence, by the presence of an inversion time."""
        return "spin echo" if self.ti_ms is None else "inversion recovery"

    def signal(self, tissue: Tissue) -> float:
        """Return the signal of a tissue relative to fully relaxed water."""
        refocused = 2 * math.exp(-(self.tr_ms - self.te_ms / 2) / tissue.t1_ms)
        recovered = refocused - math.exp(-self.tr_ms / tissue.t1_ms)
        if self.ti_ms is None:
            longitudinal = 1 - recovered
        else:
            longitudinal = 1 - 2 * math.exp(-self.ti_ms / tissue.t1_ms) + recovered
        return tissue.m0 * longitudinal * math.exp(-self.te_ms / tissue.t2_ms)

    def image(self, anatomy: Anatomy) -> Tensor:
        """Return the signal of mixed tissues, ``slices height width``."""
        fractions = anatomy.fractions
        signals = [self.signal(tissue) for tissue in TISSUES]
        weights = torch.tensor(signals, dtype=fractions.dtype, device=fractions.device)
        return torch.einsum("t,tshw->shw", weights, fractions)


T1W = Contrast("T1w", tr_ms=500.0, te_ms=15.0)
T2W = Contrast("T2w", tr_ms=4500.0, te_ms=100.0)
FLAIR = Contrast("FLAIR", tr_ms=9000.0, te_ms=120.0, ti_ms=1701.0)
