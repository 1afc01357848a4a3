"""Scans for the alarm: the same for their number, and wrong maps show in the residual."""

from dataclasses import replace

import numpy as np

from medconsist.mri.bench.alarm import CHANGES, MAPS, NOISE, SCORES, ScanStudy, scan_pool

SMALL = ScanStudy(size=48, coils=3, acceleration=2.0, snr=(30.0, 30.0))


def test_a_scan_is_the_same_whether_or_not_others_are_made() -> None:
    both = scan_pool(SMALL, first=4, count=2, seed=1)
    alone = scan_pool(SMALL, first=5, count=1, seed=1)
    np.testing.assert_array_equal(both.trust[1:], alone.trust)
    np.testing.assert_array_equal(both.plain[1:], alone.plain)
    assert both.trust.shape == (2, len(SCORES))
    assert (scan_pool(SMALL, first=5, count=1, seed=2).plain != alone.plain).all()


def test_the_planted_changes_reach_the_scores() -> None:
    clean = scan_pool(SMALL, first=0, count=3)
    noisy, moved = (scan_pool(SMALL, first=0, count=3, change=change) for change in CHANGES)
    assert (NOISE, MAPS) == CHANGES
    names = list(SCORES)
    contrast = names.index("refutable_contrast")
    # twice the noise: what can be refuted is twice as strong, but for the noise level's error
    np.testing.assert_allclose(noisy.trust[:, contrast] / clean.trust[:, contrast], 2, rtol=0.2)
    assert (noisy.plain > 2 * clean.plain).all()
    assert (moved.plain > clean.plain).all()
    residual = names.index("residual")
    assert (moved.trust[:, residual] > clean.trust[:, residual]).all()


def test_a_quieter_scanner_leaves_less_residual() -> None:
    quiet = replace(SMALL, snr=(90.0, 90.0))
    loud = scan_pool(SMALL, first=0, count=2).plain
    assert (scan_pool(quiet, first=0, count=2).plain < loud).all()
