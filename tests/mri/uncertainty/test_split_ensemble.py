"""The ensemble over random parts of the samples."""

import pytest
import torch

from medconsist.errors import NothingToWithholdError, RefusedInputError
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.sample_splits import SplitConfig, split_samples
from medconsist.mri.methods import CgSense, CompressedSensing, Zerofilled
from medconsist.mri.uncertainty.split_ensemble import split_spread
from tests.mri.cirim.random_scan import random_scan

SMALL = SplitConfig(calibration=0)


def test_members_are_the_images_of_the_splits(generator: torch.Generator) -> None:
    scan, state = random_scan(generator, slices=2, sets=2), generator.get_state()
    found = split_spread(CgSense(), scan, members=3, config=SMALL, generator=generator)
    generator.set_state(state)
    images = torch.stack(
        [CgSense()(scan.visible(split_samples(scan, SMALL, generator).keep)) for _ in range(3)]
    )
    torch.testing.assert_close(found.magnitude, images.abs().std(0))
    assert found.n == 3


def test_the_scale_is_that_of_all_samples(generator: torch.Generator) -> None:
    scan, state = random_scan(generator, shape=(16, 16)), generator.get_state()
    method = CompressedSensing(iterations=3)
    free = split_spread(method, scan, members=2, config=SMALL, generator=generator)
    generator.set_state(state)
    fixed = split_spread(method.fixed(scan), scan, members=2, config=SMALL, generator=generator)
    assert torch.equal(free.magnitude, fixed.magnitude)


def test_more_samples_left_out_spread_more(generator: torch.Generator) -> None:
    scan = random_scan(generator, shape=(16, 16))
    few, many = (
        split_spread(
            Zerofilled(),
            scan,
            members=20,
            config=SplitConfig(calibration=0, fraction=fraction),
            generator=generator,
        )
        for fraction in (0.1, 0.6)
    )
    assert float(many.complex.mean()) > 1.5 * float(few.complex.mean())


def test_of_noise_members_show_less_than_there_is(generator: torch.Generator) -> None:
    """Where nothing is missing they show ``((1 - f) / f)^(1/2)`` of it, f the share each sees."""
    maps = random_scan(generator, coils=16, shape=(14, 14)).maps
    mask = torch.ones(1, 14, 14, dtype=torch.bool)
    noise = torch.randn(1, 16, 14, 14, dtype=torch.complex64, generator=generator)
    scan, method = Measurement(noise, mask, maps, 1.0), CgSense(lambda_=0.0, iterations=15)
    found = split_spread(method, scan, members=40, config=SMALL, generator=generator)
    seen = 1 - 0.4 * (1 - (4 / 14) ** 2)  # the central 4 x 4 is always seen
    share = float(found.complex.square().mean() / method(scan).abs().square().mean()) ** 0.5
    assert share == pytest.approx(((1 - seen) / seen) ** 0.5, rel=0.12)  # one draw of noise


def test_what_cannot_be_split_is_refused(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    with pytest.raises(RefusedInputError, match="members got 1; allowed: 2 or more"):
        split_spread(Zerofilled(), scan, members=1, generator=generator)
    middle = torch.zeros(1, 12, 9, dtype=torch.bool)
    middle[:, 5:7, 3:5] = True
    with pytest.raises(NothingToWithholdError, match="nothing"):
        split_spread(Zerofilled(), scan.visible(middle), members=2, generator=generator)
