"""ISMRMRD out: the `ismrmrd` library finds complex values and their place."""

from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import pytest
import torch
from ismrmrd import hdf5 as ismrmrd_hdf5
from torch import Tensor

from medconsist.errors import RefusedInputError, StorageError
from medconsist.mri.formats.ismrmrd_out import IMAGE_HEADER, write_ismrmrd_images
from tests.mri.posed import SPACING, by_place, oblique, volume

UNKNOWN = (None, None, None)


def phased() -> Tensor:
    """Return the volume with a phase that differs from voxel to voxel."""
    image = volume()
    phase = torch.arange(image.numel()).reshape(image.shape) * 0.01
    return torch.polar(image, phase)


def images(path: Path) -> list[Any]:
    with ismrmrd.Dataset(str(path), create_if_needed=False) as file:
        return [file.read_image("image_0", n) for n in range(file.number_of_images("image_0"))]


def places(path: Path) -> dict[tuple[float, ...], float]:
    """Return magnitudes by place, from the header of each image as ISMRMRD means it."""
    found: dict[tuple[float, ...], float] = {}
    for image in images(path):
        width, height, _ = image.matrix_size
        step = np.array(image.field_of_view, float) / (width, height, 1)
        axes = np.array([image.read_dir, image.phase_dir, image.slice_dir], float)
        corner = np.array(image.position, float)
        corner -= (width // 2) * step[0] * axes[0] + (height // 2) * step[1] * axes[1]
        affine = np.eye(4)
        affine[:3] = np.diag([-1, -1, 1]) @ np.stack([*(axes * step[:, None]), corner], axis=1)
        plane = torch.from_numpy(np.abs(image.data[0]).copy())
        found |= by_place(plane, torch.from_numpy(affine))
    return found


def test_our_header_is_that_of_the_library() -> None:
    assert ismrmrd_hdf5.image_header_dtype == IMAGE_HEADER


def test_complex_values_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_ismrmrd_images(
        path, phased(), affine=None, voxel_size_mm=UNKNOWN, attributes={"Comment": "a < b & c"}
    )
    read = images(path)
    assert np.array_equal(np.stack([one.data[0, 0] for one in read]), phased().numpy())
    assert [one.slice for one in read] == [0, 1, 2]
    assert read[0].image_type == ismrmrd.IMTYPE_COMPLEX
    assert ismrmrd.Meta.deserialize(read[0].attribute_string)["Comment"] == "a < b & c"


def test_a_conjugate_that_torch_has_not_computed_yet_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_ismrmrd_images(path, phased().conj(), affine=None, voxel_size_mm=UNKNOWN, attributes={})
    assert np.array_equal(images(path)[1].data[0, 0], phased()[1].numpy().conj())


def test_real_values_are_stored_as_magnitudes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_ismrmrd_images(path, volume(), affine=None, voxel_size_mm=UNKNOWN, attributes={})
    (first, *_) = images(path)
    assert first.image_type == ismrmrd.IMTYPE_MAGNITUDE
    assert np.array_equal(first.data[0, 0], volume()[0].numpy())


@pytest.mark.parametrize("handed", [1.0, -1.0])
@pytest.mark.parametrize("odd", [0, 1])
def test_every_voxel_lies_where_the_header_says(handed: float, odd: int, tmp_path: Path) -> None:
    path, affine = tmp_path / "a.h5", oblique(handed=handed)
    image = phased()[:, odd:, odd:]
    write_ismrmrd_images(path, image, affine=affine, voxel_size_mm=SPACING, attributes={})
    first, second, _ = (np.array(one.position, float) for one in images(path))
    step = SPACING[0] * np.array(images(path)[0].slice_dir, float)
    assert np.abs(second - first - step).max() <= 1e-4  # float32
    here, there = by_place(image.abs(), affine), places(path)
    near = {place: value for place, value in there.items() if place in here}
    # Headers are float32: a few places round to the next hundredth of a millimetre.
    assert len(near) >= 0.95 * len(here)
    assert max(abs(here[place] - value) for place, value in near.items()) <= 1e-5


def test_what_is_unknown_is_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_ismrmrd_images(
        path, volume(), affine=None, voxel_size_mm=(None, 0.5, None), attributes={}
    )
    first = images(path)[0]
    assert not any([*first.read_dir, *first.phase_dir, *first.slice_dir, *first.position])
    assert list(first.field_of_view) == [0.0, 10.0, 0.0]


def test_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write_ismrmrd_images(
            tmp_path / name,
            phased(),
            affine=oblique(),
            voxel_size_mm=SPACING,
            attributes={"a": "b"},
        )
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_refused_image_leaves_no_file(tmp_path: Path) -> None:
    image = phased()
    image[0, 0, 0] = torch.nan
    path = tmp_path / "a.h5"
    with pytest.raises(RefusedInputError, match="NaN or infinity"):
        write_ismrmrd_images(path, image, affine=None, voxel_size_mm=UNKNOWN, attributes={})
    with pytest.raises(RefusedInputError, match="as float32"):
        write_ismrmrd_images(
            path, 1e300 * volume().double(), affine=None, voxel_size_mm=UNKNOWN, attributes={}
        )
    long = torch.zeros(1, 1, 70_000)
    with pytest.raises(RefusedInputError, match="along each axis"):
        write_ismrmrd_images(path, long, affine=None, voxel_size_mm=UNKNOWN, attributes={})
    assert not list(tmp_path.iterdir())
    missing = tmp_path / "no" / "a.h5"
    with pytest.raises(StorageError, match="Could not write"):
        write_ismrmrd_images(missing, volume(), affine=None, voxel_size_mm=UNKNOWN, attributes={})
