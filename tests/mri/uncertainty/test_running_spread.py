"""The spread of images that come one by one, against all of them at once."""

import pytest
import torch

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.uncertainty.running_spread import RunningSpread


@pytest.mark.parametrize("offset", [0.0, 1e3])  # far from 0, sums of squares would cancel
def test_streamed_spread_is_that_of_the_stack(offset: float, generator: torch.Generator) -> None:
    images = torch.randn(7, 2, 5, 4, dtype=torch.complex64, generator=generator) + offset
    spread = RunningSpread()
    for image in images:
        spread.add(image)
    found, stack = spread.result(), images.to(torch.complex128)
    off = stack - stack.mean(0)
    both = (off.abs().square().sum(0) / 6).sqrt().float()
    # single precision about the offset: 1e3 has a last bit of 6e-5
    torch.testing.assert_close(found.magnitude, stack.abs().std(0).float(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.complex, both, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.mean, stack.mean(0).to(torch.complex64))
    assert found.n == 7


def test_equal_images_have_no_spread() -> None:
    spread = RunningSpread()
    for _ in range(3):
        spread.add(torch.full((1, 2, 2), 3 + 4j))
    assert float(spread.result().complex.max()) == 0.0
    assert float(spread.result().magnitude.max()) == 0.0


def test_what_has_no_spread_is_refused() -> None:
    spread = RunningSpread()
    with pytest.raises(RefusedInputError, match="got 0 images"):
        spread.result()
    spread.add(torch.ones(1, 2, 2) + 0j)
    with pytest.raises(RefusedInputError, match="got 1 images"):
        spread.result()
    with pytest.raises(ShapeError, match=r"\(1, 3, 2\) after \(1, 2, 2\)"):
        spread.add(torch.ones(1, 3, 2) + 0j)
    with pytest.raises(RefusedInputError, match="image 2 is not finite"):
        spread.add(torch.full((1, 2, 2), torch.nan) + 0j)
