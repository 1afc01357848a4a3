"""Where every random number of the simulator comes from, and the noise that signals carry."""

import numpy as np
import torch
from jaxtyping import Float

from medconsist.errors import RefusedInputError

__all__ = ["coloured", "mains", "numpy_generators", "wander"]

Noise = Float[np.ndarray, "*rows time"]


def numpy_generators(generator: torch.Generator, count: int) -> list[np.random.Generator]:
    """Return independent generators of numpy from one draw of a generator of torch.

    Each purpose gets one of its own, so that a change of one does not move the draws of another.
    """
    seed = int(torch.randint(0, 2**63 - 1, (), generator=generator))
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(count)]


def coloured(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    *,
    rate: float | int,
    band: tuple[float | int, float | int],
    exponent: float | int | Float[np.ndarray, "*#rows"] = 0.0,
) -> Noise:
    r"""Return Gaussian noise of variance 1 whose power falls as :math:`f^{-e}` within a band.

    Drawn by its Fourier coefficients, so the two ends of a row meet.

    Parameters
    ----------
    rng
        Drawn from as often for any exponent.
    shape
        Rows and, last, samples.
    rate
        Samples per second.
    band
        Lowest and highest frequency [Hz].
    exponent
        0 is white, 1 pink; one for all rows, or an array that broadcasts to the rows.

    Raises
    ------
    RefusedInputError
        No frequency of the band fits the length and the rate.
    """
    samples = shape[-1]
    frequency = np.fft.rfftfreq(samples, 1 / rate)
    # the coefficient at the Nyquist frequency is real, so it is left out like the mean
    inside = (frequency >= band[0]) & (frequency <= band[1]) & (frequency > 0)
    inside &= frequency < rate / 2
    if not inside.any():
        msg = (
            f"{samples} samples at {rate} Hz hold no frequency between {band[0]} and {band[1]} Hz;"
            " take more samples, or a band that fits them."
        )
        raise RefusedInputError(msg)
    power = frequency[inside] ** -np.asarray(exponent, np.float64)[..., None]
    amplitude = np.sqrt(power / power.sum(-1, keepdims=True)) * samples / 2
    parts = rng.normal(size=(*shape[:-1], int(inside.sum()), 2))
    spectrum = np.zeros((*shape[:-1], len(frequency)), np.complex128)
    spectrum[..., inside] = (parts[..., 0] + 1j * parts[..., 1]) * amplitude
    return np.fft.irfft(spectrum, samples)


def mains(
    rng: np.random.Generator, shape: tuple[int, ...], *, rate: float | int, hz: float | int
) -> Noise:
    """Return a sine of amplitude 1 and random phase in each row, at the frequency of the mains."""
    phase = rng.uniform(0, 2 * np.pi, size=(*shape[:-1], 1))
    return np.sin(2 * np.pi * hz * np.arange(shape[-1]) / rate + phase)


def wander(rng: np.random.Generator, shape: tuple[int, ...], *, rate: float | int) -> Noise:
    """Return baseline wander of variance 1: four sines between 0.05 and 0.5 Hz in each row."""
    frequency = rng.uniform(0.05, 0.5, size=(*shape[:-1], 4, 1))
    phase = rng.uniform(0, 2 * np.pi, size=(*shape[:-1], 4, 1))
    angle = 2 * np.pi * frequency * np.arange(shape[-1]) / rate + phase
    return np.sin(angle).sum(-2) / np.sqrt(2)
