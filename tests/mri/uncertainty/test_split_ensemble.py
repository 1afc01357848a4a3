"""The ensemble over random parts of the samples."""

import pytest
import torch

from medconsist.errors import NothingToWithholdError, RefusedInputError
from medconsist.mri.learned.sample_splits import SplitConfig, split_samples
from medconsist.mri.methods import CgSense, Zerofilled
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


def test_what_cannot_be_split_is_refused(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    with pytest.raises(RefusedInputError, match="members got 1; allowed: 2 or more"):
        split_spread(Zerofilled(), scan, members=1, generator=generator)
    middle = torch.zeros(1, 12, 9, dtype=torch.bool)
    middle[:, 5:7, 3:5] = True
    with pytest.raises(NothingToWithholdError, match="nothing"):
        split_spread(Zerofilled(), scan.visible(middle), members=2, generator=generator)
