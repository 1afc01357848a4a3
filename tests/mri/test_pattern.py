"""What a mask says about the acquisition."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from medconsist.mri.pattern import describe_pattern, full_axis, partial_fourier


def lines(n: int, kept: slice) -> Tensor:
    """Return a one-dimensional mask of 16 rows and n columns."""
    mask = torch.zeros(1, 16, n, dtype=torch.bool)
    mask[..., kept] = True
    return mask


@pytest.mark.parametrize("kept", [slice(0, 48), slice(16, 64)])
def test_six_eighths_are_found_on_either_side(kept: slice) -> None:
    assert partial_fourier(lines(64, kept)) == {"width": 0.75}


@pytest.mark.parametrize("n", [63, 64, 255, 256])
def test_fully_sampled_axis_has_no_partial_fourier(n: int) -> None:
    assert partial_fourier(lines(n, slice(None))) == {}


@given(n=st.integers(16, 64), cut=st.integers(0, 6))
def test_symmetric_edges_are_no_partial_fourier(n: int, cut: int) -> None:
    kept = slice(n // 2 - (n // 2 - cut), n // 2 + (n // 2 - cut))
    assert partial_fourier(lines(n, kept)) == {}


def test_last_lines_missing_by_regular_undersampling_are_no_partial_fourier() -> None:
    assert partial_fourier(lines(64, slice(4, None, 6))) == {}


def test_readout_axis_is_the_complete_one() -> None:
    mask = lines(20, slice(None, None, 2))
    assert full_axis(mask) == "height"
    assert full_axis(mask.mT) == "width"
    mask[0, 3, 4] = False
    assert full_axis(mask) is None


def test_sentences_name_share_readout_and_partial_fourier() -> None:
    said = " ".join(describe_pattern(lines(64, slice(0, 48))))
    assert "75.0% of k-space acquired (acceleration 1.33)" in said
    assert "readout along height" in said
    assert "Partial Fourier along width: 0.75" in said
    assert describe_pattern(lines(64, slice(None))) == ("Fully sampled.",)
