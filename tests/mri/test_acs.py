"""The calibration region is the largest centred fully sampled rectangle, or a clear refusal."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medconsist.errors import CalibrationError
from medconsist.mri.acs import find_acs


def largest_by_trial(mask: Tensor) -> int:
    """Return the area of the largest centred full rectangle by trying every size."""
    height, width = mask.shape
    best = 0
    for rows in range(1, height + 1):
        for columns in range(1, width + 1):
            top, left = height // 2 - rows // 2, width // 2 - columns // 2
            if mask[top : top + rows, left : left + columns].all():
                best = max(best, rows * columns)
    return best


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    missing=st.lists(st.integers(0, 168), max_size=12),
)
def test_no_centred_rectangle_is_larger(height: int, width: int, missing: list[int]) -> None:
    mask = torch.ones(height * width, dtype=torch.bool)
    mask[[i for i in missing if i < height * width]] = False
    mask = mask.reshape(height, width)
    best = largest_by_trial(mask)
    if best == 0:
        with pytest.raises(CalibrationError, match="nothing"):
            find_acs(mask[None], kernel=1)
        return
    region = find_acs(mask[None], kernel=1)
    assert region.shape[0] * region.shape[1] == best
    assert mask[region.rows, region.columns].all()
    for found, n in ((region.rows, height), (region.columns, width)):
        assert found.start == n // 2 - (found.stop - found.start) // 2


def test_lines_give_the_full_readout_by_the_central_block() -> None:
    mask = torch.zeros(1, 20, 28, dtype=torch.bool)
    mask[..., ::4] = True
    mask[..., 10:18] = True
    assert find_acs(mask).shape == (20, 8)


def test_every_slice_must_have_sampled_the_region() -> None:
    mask = torch.zeros(2, 32, 32, dtype=torch.bool)
    mask[0, 8:24, 8:24] = True
    mask[1, 12:20, 8:24] = True
    assert find_acs(mask).shape == (8, 16)


def test_region_smaller_than_the_kernel_names_the_ways_out() -> None:
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[:, 14:18, 14:19] = True
    words = r"4 x 5 is fully sampled.*--maps FILE.*--method zerofilled --combine rss"
    with pytest.raises(CalibrationError, match=words):
        find_acs(mask)


def test_limited_region_keeps_its_centre() -> None:
    region = find_acs(torch.ones(1, 31, 40, dtype=torch.bool)).limited(24)
    assert region.shape == (24, 24)
    assert (region.rows.start, region.columns.start) == (31 // 2 - 12, 40 // 2 - 12)
    assert region.limited(100) == region


def test_extract_cuts_the_last_two_axes(generator: torch.Generator) -> None:
    samples = torch.randn(2, 3, 16, 18, generator=generator)
    region = find_acs(torch.ones(1, 16, 18, dtype=torch.bool)).limited(6)
    assert torch.equal(region.extract(samples), samples[..., 5:11, 6:12])


@pytest.mark.data
def test_real_slice_has_24_by_24(data_dir: Path) -> None:
    samples = np.load(data_dir / "mri" / "sigpy_cartesian_ksp.npy")
    mask = torch.from_numpy((samples != 0).any(0))
    region = find_acs(mask[None])
    assert region.shape == (24, 24)
    assert (region.rows.start, region.columns.start) == (103, 78)
