"""The container of k-space refuses parts that do not fit each other."""

from collections.abc import Iterator

import jaxtyping
import pytest
import torch

from medconsist.errors import ShapeError
from medconsist.mri.kspace import KSpace
from tests.mri.asymmetric import asymmetric_kspace


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch the shape annotations off, as they are outside the tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(1, 28, 20), (3, 20, 28), (1, 20, 27)])
def test_mask_of_another_shape_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ShapeError, match="does not fit k-space"):
        KSpace(asymmetric_kspace(), torch.ones(shape, dtype=torch.bool))


@pytest.mark.usefixtures("unchecked")
def test_noise_of_other_coils_is_refused() -> None:
    mask = torch.ones(1, 20, 28, dtype=torch.bool)
    with pytest.raises(ShapeError, match="2 coils and k-space 3"):
        KSpace(asymmetric_kspace(), mask, noise=torch.ones(2, 9, dtype=torch.complex64))


def test_acceleration_counts_positions_of_one_or_all_slices() -> None:
    mask = torch.ones(1, 20, 28, dtype=torch.bool)
    mask[..., ::2] = False
    assert KSpace(asymmetric_kspace(), mask).acceleration == 2
    assert KSpace(asymmetric_kspace(), mask.repeat(2, 1, 1)).acceleration == 2


def test_copy_on_a_device_keeps_everything_else() -> None:
    mask = torch.ones(1, 20, 28, dtype=torch.bool)
    noise = torch.ones(3, 9, dtype=torch.complex64)
    kspace = KSpace(asymmetric_kspace(), mask, noise=noise, contrast="T1w").with_note("A.")
    copied = kspace.to("cpu")
    assert torch.equal(copied.data, kspace.data)
    assert (copied.contrast, copied.notes) == ("T1w", ("A.",))
