"""Geometry of a reference: taken only where the pictures show that it holds."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.formats.dicom_in import DicomSeries
from medconsist.mri.reference_geometry import Geometry, beside_reference, why_not_alike
from tests.mri.posed import SPACING, oblique, volume


def series(image: Tensor, affine: Tensor | None = None) -> DicomSeries:
    affine = oblique() if affine is None else affine
    return DicomSeries(image, affine, SPACING, {}, ())


def test_the_same_picture_in_other_units_and_with_noise_lends_its_geometry(
    generator: torch.Generator,
) -> None:
    scanner = 300 * volume() + 20 + 5 * torch.randn(volume().shape, generator=generator)
    found = beside_reference(Geometry(), volume(), series(scanner))
    assert found.affine is not None
    assert torch.equal(found.affine, oblique())
    assert found.voxel_size_mm == SPACING
    assert "fits in place" in found.notes[0]


POSES: dict[str, Callable[[Tensor], Tensor]] = {
    "mirrored left to right": lambda image: image.flip(2),
    "upside down": lambda image: image.flip(1),
    "slices reversed": lambda image: image.flip(0),
    "shifted": lambda image: image.roll(1, 2),
    "something else": lambda image: image.roll((10, 14), (1, 2)),
}


@pytest.mark.parametrize("name", POSES)
def test_another_pose_leaves_the_orientation_unknown(name: str) -> None:
    found = beside_reference(Geometry(), volume(), series(POSES[name](volume())))
    assert found.affine is None
    assert found.voxel_size_mm == (None, None, None)
    assert "Orientation stays unknown" in found.notes[0]


def test_transposed_and_turned_squares_are_told_apart() -> None:
    square = volume()[:, :, :20]
    for posed in (square.transpose(1, 2), square.rot90(1, (1, 2)), square.rot90(2, (1, 2))):
        assert why_not_alike(posed.contiguous(), square)
    assert not why_not_alike(square, square)


def test_a_picture_that_is_its_own_mirror_image_shows_nothing() -> None:
    both = volume() + volume().flip(2)
    assert "mirrored left to right fits it as well" in why_not_alike(both, both)
    square = volume()[:, :, :20]
    both = square + square.transpose(1, 2)
    assert "the image transposed fits it as well" in why_not_alike(both, both)


def test_a_flat_picture_shows_nothing() -> None:
    assert "correlation 0.00" in why_not_alike(torch.ones(2, 4, 4), torch.ones(2, 4, 4))


def test_another_matrix_or_spacing_lends_nothing() -> None:
    other = beside_reference(Geometry(), volume(), series(volume()[:, :, 1:]))
    assert "its matrix is 3 x 20 x 27" in other.notes[0]
    known = Geometry(None, (None, 2.0, None))
    assert "its spacing is 0.9 mm" in beside_reference(known, volume(), series(volume())).notes[0]


def test_a_reference_without_orientation_lends_none() -> None:
    unknown = DicomSeries(volume(), None, (None, None, None), {}, ())
    assert "says no orientation itself" in beside_reference(Geometry(), volume(), unknown).notes[0]


def test_a_known_geometry_stays_and_must_overlap() -> None:
    known = Geometry(oblique(), SPACING)
    near, far = oblique(), oblique()
    near[:3, 3] += 3
    far[:3, 3] += 500
    assert beside_reference(known, volume(), series(volume(), near)) is known
    with pytest.raises(RefusedInputError, match="lies elsewhere in the patient"):
        beside_reference(known, volume(), series(volume(), far))
