"""The family on a GPU."""

import pytest
import torch

from tests.mri.cirim.random_scan import arguments
from tests.mri.comparators.family import FAMILY, calibrated, largest_difference, network_of


@pytest.mark.gpu
@pytest.mark.parametrize("name", FAMILY)
def test_images_on_cuda_equal_those_on_cpu(name: str, generator: torch.Generator) -> None:
    network = network_of(FAMILY[name].config)
    scan = arguments(calibrated(generator, slices=2))
    with torch.no_grad():
        wanted = network(*scan)
        # TF32 kernels would give 1e-3
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found = network.cuda()(*(value.cuda() for value in scan))
    assert found.is_cuda
    assert largest_difference(found.cpu(), wanted) < 1e-3  # instance norms of few pixels
