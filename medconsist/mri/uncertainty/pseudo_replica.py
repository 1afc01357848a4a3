"""How the noise of the samples comes through a reconstruction: pseudo multiple replicas."""

import math

import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.mri.methods import Method
from medconsist.mri.uncertainty.running_spread import RunningSpread, Spread
from medconsist.mri.volumes.replayed_draws import gaussian_noise
from medconsist.mri.volumes.volume import Measured

__all__ = ["LEAST_REPLICAS", "replica_spread"]

LEAST_REPLICAS = 2


@torch.no_grad()
def replica_spread(
    method: Method, measurement: Measured, *, replicas: int, generator: Generator
) -> Spread:
    r"""Return the spread of the images of samples to which white noise was added.

    .. math:: x_r = f(y + n_r), \quad n_r \sim CN(0, \sigma^2) \text{ at the sampled positions},
              \quad r = 1 \dots R

    of the method with what it estimates from the samples set once, `Method.fixed`. For a linear
    method ``f(y) = B y`` it estimates :math:`\sigma (B B^H)_{jj}^{1/2}` (complex), exactly in the
    mean of its square, with the relative standard error `Spread.relative_error`; the mean of the
    replicas is the image itself. For any other method it is the spread about an image of samples
    that are noisy already: noise of twice the variance in all.

    It holds what the noise does, and nothing else: no bias, no error of the coil maps, nothing
    that the method adds or leaves out alike in every replica.

    Parameters
    ----------
    method
        Any; it is called R times.
    measurement
        Prewhitened: noise of the level ``sigma`` in every sample, independent. Assumed.
    replicas
        R, at least 2. 20 give standard deviations to 16 %, 200 to 5 %.
    generator
        Source of the noise.

    Raises
    ------
    RefusedInputError
        Fewer than two replicas, no noise level, or an image that is not finite.

    References
    ----------
    P. M. Robson et al., "Comprehensive quantification of signal-to-noise ratio and g-factor for
    image-based and k-space-based parallel imaging reconstructions", Magn. Reson. Med. 60 (2008)
    895, doi:10.1002/mrm.21728.
    """
    if replicas < LEAST_REPLICAS:
        msg = f"replicas got {replicas}; allowed: {LEAST_REPLICAS} or more. 20 is usual."
        raise RefusedInputError(msg)
    if not 0 < measurement.sigma < math.inf:
        msg = f"the noise level is {measurement.sigma}; replicas need a positive, finite one."
        raise RefusedInputError(msg)
    fixed, sigma = method.fixed(measurement), measurement.sigma
    noises = gaussian_noise(
        measurement.samples.shape, measurement.parts, count=replicas, generator=generator
    )
    found = []
    for (_, slab), drawn in zip(measurement.slabs("replicas"), noises, strict=True):
        spread = RunningSpread()
        for noise in drawn:
            noisy = slab.samples + sigma * noise.to(slab.samples)
            spread.add(fixed(slab.with_samples(noisy)))
        found.append(spread.result())
    return Spread.of_slabs(found)
