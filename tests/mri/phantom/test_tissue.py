"""Signal equations against the magnetisation followed pulse by pulse."""

import math

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.phantom.tissue import (
    FLAIR,
    T1W,
    T2W,
    TISSUES,
    Anatomy,
    Contrast,
    Tissue,
    tissue_index,
)


def _relaxed(longitudinal: float, time_ms: float, tissue: Tissue) -> float:
    return 1 + (longitudinal - 1) * math.exp(-time_ms / tissue.t1_ms)


def _followed(contrast: Contrast, tissue: Tissue) -> float:
    """Run 50 repetitions of [inversion, wait TI,] 90, wait TE/2, 180, wait, as the pulses act."""
    longitudinal, echo = 1.0, 0.0
    inversion = contrast.ti_ms or 0.0
    for _ in range(50):
        if contrast.ti_ms is not None:
            longitudinal = _relaxed(-longitudinal, contrast.ti_ms, tissue)
        echo = tissue.m0 * longitudinal * math.exp(-contrast.te_ms / tissue.t2_ms)
        longitudinal = -_relaxed(0.0, contrast.te_ms / 2, tissue)
        rest = contrast.tr_ms - inversion - contrast.te_ms / 2
        longitudinal = _relaxed(longitudinal, rest, tissue)
    return echo


@pytest.mark.parametrize("contrast", [T1W, T2W, FLAIR], ids=lambda c: c.name)
@pytest.mark.parametrize("tissue", TISSUES[1:], ids=lambda t: t.name)
def test_signal_is_that_of_the_pulses(contrast: Contrast, tissue: Tissue) -> None:
    assert contrast.signal(tissue) == pytest.approx(_followed(contrast, tissue), abs=1e-12)


def test_contrasts_order_the_tissues_as_on_the_ward() -> None:
    csf, grey, white, lesion = (
        TISSUES[tissue_index(name)] for name in ("csf", "grey", "white", "lesion")
    )
    assert T1W.signal(white) > T1W.signal(grey) > T1W.signal(csf)
    assert T2W.signal(csf) > T2W.signal(lesion) > T2W.signal(grey) > T2W.signal(white)
    assert FLAIR.signal(lesion) > FLAIR.signal(grey) > FLAIR.signal(white)
    assert abs(FLAIR.signal(csf)) < 0.001


def test_mixed_tissue_has_the_mean_signal() -> None:
    fractions = torch.zeros(len(TISSUES), 1, 1, 1)
    fractions[tissue_index("grey")] = 0.25
    fractions[tissue_index("csf")] = 0.75
    wanted = 0.25 * T2W.signal(TISSUES[6]) + 0.75 * T2W.signal(TISSUES[5])
    assert float(T2W.image(Anatomy(fractions))) == pytest.approx(wanted)


@pytest.mark.parametrize("times", [(100.0, 100.0, None), (0.0, -1.0, None), (500.0, 10.0, 0.0)])
def test_impossible_times_are_refused(times: tuple[float, float, float | None]) -> None:
    with pytest.raises(RefusedInputError, match="0 < TE < TR"):
        Contrast("no", *times)
