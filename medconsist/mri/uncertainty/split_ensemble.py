"""How much an image depends on which samples were taken: an ensemble over random parts of them."""

import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.mri.forward import of_slices
from medconsist.mri.learned.sample_splits import SplitConfig, split_samples
from medconsist.mri.methods import Method
from medconsist.mri.uncertainty.running_spread import RunningSpread, Spread
from medconsist.mri.volumes.volume import Measured

__all__ = ["split_spread"]


@torch.no_grad()
def split_spread(
    method: Method,
    measurement: Measured,
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
    in what it was not shown, members differ. It is no standard error, and no bound of one: what
    comes of too few samples is larger in a member, which sees the share f = .6 of those outside the
    calibration region; but members have most samples in common, so that of noise it shows about
    ``((1 - f) / f)^(1/2)``, .82 of its standard deviation. Where all members err alike it shows
    nothing. Only a calibration makes an interval of it.

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
    fixed, config = method.fixed(measurement), config or SplitConfig()
    seen = [split_samples(measurement, config, generator).keep for _ in range(members)]
    found = []
    for at, slab in measurement.slabs("splits"):
        spread = RunningSpread()
        for keep in seen:
            spread.add(fixed(slab.visible(of_slices(keep, at).to(slab.mask.device))))
        found.append(spread.result())
    return Spread.of_slabs(found)
