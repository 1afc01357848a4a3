"""How much an image depends on which samples were taken: an ensemble over random parts of them."""

import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.sample_splits import SplitConfig, split_samples
from medconsist.mri.methods import Method
from medconsist.mri.uncertainty.running_spread import RunningSpread, Spread

__all__ = ["split_spread"]


@torch.no_grad()
def split_spread(
    method: Method,
    measurement: Measurement,
    *,
    members: int,
    config: SplitConfig | None = None,
    generator: Generator,
) -> Spread:
    r"""Return the spread of the images of random parts of the samples.

    Each member sees Theta of a division of the samples into Theta and Lambda as self-supervised
    training draws them (`split_samples`; Yaman et al. 2020, doi:10.1002/mrm.28378). What the
    method estimates is set once, from all samples.

    A heuristic, unlike the replicas: where the image hangs on a few samples, or the method fills
    in what it was not shown, members differ. As each sees fewer samples (60 % of those outside
    the calibration region) than the image has, the spread is too large for the image; where all
    members err alike it shows nothing. Only a calibration makes an interval of it.

    Parameters
    ----------
    method
        Any; it is called once a member.
    measurement
        All samples.
    members
        At least 2.
    config
        See `SplitConfig`. Its ``calibration`` must hold the samples that made the maps.
    generator
        Source of the divisions.

    Raises
    ------
    NothingToWithholdError
        No sample may be left out.
    RefusedInputError
        Fewer than two members, or an image that is not finite.
    """
    if members < 2:
        msg = f"members got {members}; allowed: 2 or more. 20 is usual."
        raise RefusedInputError(msg)
    fixed, spread = method.fixed(measurement), RunningSpread()
    for _ in range(members):
        split = split_samples(measurement, config or SplitConfig(), generator)
        spread.add(fixed(measurement.visible(split.keep)))
    return spread.result()
