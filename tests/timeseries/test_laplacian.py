"""Positions on an ideal head, and the Laplacian made of them."""

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.laplacian import electrode_position, laplacian

CAP = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T3", "C3", "Cz"),
    *("C4", "T4", "T5", "P3", "Pz", "P4", "T6", "O1", "O2"),
)


def test_positions_are_on_the_sphere_and_mirror_left_and_right() -> None:
    for left, right in (("F3", "F4"), ("T3", "T4"), ("O1", "O2"), ("FC5", "FC6"), ("PO7", "PO8")):
        one, other = electrode_position(left), electrode_position(right)
        assert one is not None
        assert other is not None
        assert np.linalg.norm(one) == pytest.approx(1.0)
        assert one * [-1, 1, 1] == pytest.approx(other)
        assert one[0] < 0  # odd numbers are on the left


def test_front_is_in_front_and_old_names_are_the_new_places() -> None:
    front, back = electrode_position("Fz"), electrode_position("Oz")
    assert front is not None
    assert back is not None
    assert front[1] > 0 > back[1]
    assert electrode_position("T5") == pytest.approx(electrode_position("P7"))
    assert electrode_position("EEG Cz-Ref") is not None
    assert [electrode_position(name) for name in ("A1", "II", "Fp1-F7", "P9")] == [None] * 4


def test_a_laplacian_removes_what_all_electrodes_share() -> None:
    montage = laplacian((*CAP, "ECG"))
    assert montage.outputs == CAP
    assert montage.weights.sum(axis=1) == pytest.approx(0)
    assert (montage.weights[:, -1] == 0).all()


def test_the_neighbours_of_cz_are_those_around_it() -> None:
    weights = laplacian(CAP).weights[CAP.index("Cz")]
    assert {CAP[k] for k in np.flatnonzero(weights < 0)} == {"C3", "C4", "Fz", "Pz"}


def test_a_plane_has_no_curvature_inside_the_cap() -> None:
    slope = np.array([p[0] for name in CAP if (p := electrode_position(name)) is not None])
    inside = laplacian(CAP).weights[CAP.index("Cz")] @ slope
    assert inside == pytest.approx(0, abs=1e-12)


def test_too_few_positions_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="5 electrodes whose positions are known"):
        laplacian(("Cz", "C3", "C4", "I", "II"))
