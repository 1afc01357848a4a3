"""Augmentations of windows: noise, gain, order of segments, gaps, and the amplitudes of a spectrum.

Each takes ``batch time channels`` and returns the same shape, drawn anew at every call from the
generator that it is given (on the CPU); the input stays as it is.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist.errors import RefusedInputError

__all__ = [
    "PermutedChannels",
    "add_frequencies",
    "jitter",
    "negation",
    "permutation",
    "remove_frequencies",
    "scaling",
    "time_flip",
    "time_mask",
]

Windows = Float[Tensor, "batch time channels"]
Spectra = Float[Tensor, "batch frequencies channels"]
PermutedChannels = Literal["together", "apart"]


def jitter(signals: Windows, *, sigma: float | int, generator: torch.Generator) -> Windows:
    """Add white noise of standard deviation ``sigma``, in units of the signals.

    Parameters
    ----------
    signals
        To be changed.
    sigma
        At least 0.
    generator
        Of what is drawn.

    Examples
    --------
    >>> jitter(torch.ones(1, 2, 1), sigma=0, generator=torch.Generator()).flatten().tolist()
    [1.0, 1.0]
    """
    _require("sigma", sigma, at_least=0)
    noise = torch.randn(signals.shape, generator=generator, dtype=signals.dtype)
    return signals + sigma * noise.to(signals.device)


def scaling(
    signals: Windows, *, mean: float | int = 1, sigma: float | int, generator: torch.Generator
) -> Windows:
    """Multiply each channel of each window by one number, normal with ``mean`` and ``sigma``.

    Parameters
    ----------
    signals
        To be changed.
    mean, sigma
        Of the factor; it may be negative where ``sigma`` is not small beside ``mean``.
    generator
        Of what is drawn.

    Examples
    --------
    >>> scaling(torch.ones(1, 2, 1), mean=2, sigma=0, generator=torch.Generator()).mean()
    tensor(2.)
    """
    _require("sigma", sigma, at_least=0)
    batch, _, channels = signals.shape
    drawn = torch.randn(batch, 1, channels, generator=generator, dtype=signals.dtype)
    return signals * (mean + sigma * drawn.to(signals.device))


def permutation(
    signals: Windows,
    *,
    segments: int,
    channels: PermutedChannels = "together",
    generator: torch.Generator,
) -> Windows:
    """Cut each window into 1 to ``segments`` parts of random lengths and shuffle the parts.

    Every sample is kept once; none is copied into another channel.

    Parameters
    ----------
    signals
        To be changed.
    segments
        Parts at most, 1 to ``time``; how many is drawn for each window.
    channels
        ``"together"``: all channels of a window alike; ``"apart"``: each by a draw of its own.
    generator
        Of what is drawn.

    Raises
    ------
    RefusedInputError
        ``segments`` out of range, or another word for ``channels``.

    Examples
    --------
    >>> signals = torch.arange(4.0)[None, :, None]
    >>> permutation(signals, segments=3, generator=torch.Generator()).sum()
    tensor(6.)
    """
    batch, time, n_channels = signals.shape
    if not 1 <= segments <= time or channels not in get_args(PermutedChannels):
        msg = (
            f"got {segments} segments of {time} samples, channels {channels!r}; allowed: 1 to "
            f"{time}, {' or '.join(get_args(PermutedChannels))}."
        )
        raise RefusedInputError(msg)
    sets = n_channels if channels == "apart" else 1
    places = _shuffled_places(batch * sets, time, segments, generator)
    places = places.view(batch, sets, time).mT.expand(signals.shape)
    return signals.gather(1, places.to(signals.device))


def negation(signals: Windows, *, share: float | int, generator: torch.Generator) -> Windows:
    """Change the sign of whole windows.

    Parameters
    ----------
    signals
        To be changed.
    share
        Probability for each window, 0 to 1.
    generator
        Of what is drawn.

    Examples
    --------
    >>> negation(torch.ones(1, 2, 1), share=1, generator=torch.Generator()).mean()
    tensor(-1.)
    """
    drawn = _drawn((len(signals), 1, 1), share, generator).to(signals.device)
    return signals.where(~drawn, -signals)


def time_flip(signals: Windows, *, share: float | int, generator: torch.Generator) -> Windows:
    """Let whole windows run backwards.

    Parameters
    ----------
    signals
        To be changed.
    share
        Probability for each window, 0 to 1.
    generator
        Of what is drawn.

    Examples
    --------
    >>> signals = torch.arange(3.0)[None, :, None]
    >>> time_flip(signals, share=1, generator=torch.Generator()).flatten().tolist()
    [2.0, 1.0, 0.0]
    """
    drawn = _drawn((len(signals), 1, 1), share, generator).to(signals.device)
    return signals.where(~drawn, signals.flip(1))


def time_mask(signals: Windows, *, share: float | int, generator: torch.Generator) -> Windows:
    """Set single samples to 0, in all channels of a window at once.

    Parameters
    ----------
    signals
        To be changed.
    share
        Probability for each sample, 0 to 1.
    generator
        Of what is drawn.

    Examples
    --------
    >>> time_mask(torch.ones(1, 2, 1), share=1, generator=torch.Generator()).sum()
    tensor(0.)
    """
    drawn = _drawn((*signals.shape[:2], 1), share, generator).to(signals.device)
    return signals.masked_fill(drawn, 0.0)


def remove_frequencies(
    amplitudes: Spectra, *, share: float | int, generator: torch.Generator
) -> Spectra:
    """Set single amplitudes of a spectrum to 0.

    Parameters
    ----------
    amplitudes
        ``batch frequencies channels``, at least 0.
    share
        Probability for each of them, 0 to 1.
    generator
        Of what is drawn.

    Examples
    --------
    >>> remove_frequencies(torch.ones(1, 2, 1), share=1, generator=torch.Generator()).sum()
    tensor(0.)
    """
    drawn = _drawn(tuple(amplitudes.shape), share, generator).to(amplitudes.device)
    return amplitudes.masked_fill(drawn, 0.0)


def add_frequencies(
    amplitudes: Spectra,
    *,
    share: float | int,
    height: float | int = 0.5,
    generator: torch.Generator,
) -> Spectra:
    """Raise single amplitudes of a spectrum to a part of its largest one; higher ones stay.

    Parameters
    ----------
    amplitudes
        ``batch frequencies channels``, at least 0.
    share
        Probability for each of them, 0 to 1.
    height
        What they are raised to, over the largest amplitude of the same window and channel, 0 to 1.
    generator
        Of what is drawn.

    Examples
    --------
    >>> spectrum = torch.tensor([4.0, 1.0])[None, :, None]
    >>> add_frequencies(spectrum, share=1, generator=torch.Generator()).flatten().tolist()
    [4.0, 2.0]
    """
    _require("height", height, at_least=0, at_most=1)
    drawn = _drawn(tuple(amplitudes.shape), share, generator).to(amplitudes.device)
    raised = torch.maximum(amplitudes, height * amplitudes.amax(1, keepdim=True))
    return amplitudes.where(~drawn, raised)


def _shuffled_places(
    rows: int, time: int, segments: int, generator: torch.Generator
) -> Int64[Tensor, "rows time"]:
    """Return for each sample the place that it comes from."""
    count = torch.randint(1, segments + 1, (rows, 1), generator=generator)
    rank = torch.rand(rows, time - 1, generator=generator).argsort(-1).argsort(-1)
    begins = torch.cat([torch.zeros_like(count), (rank < count - 1).long()], 1)
    turn = torch.rand(rows, segments, generator=generator).argsort(-1)
    return (turn.gather(1, begins.cumsum(1)) * time + torch.arange(time)).argsort(-1)


def _drawn(shape: tuple[int, ...], share: float | int, generator: torch.Generator) -> Tensor:
    _require("share", share, at_least=0, at_most=1)
    return torch.rand(shape, generator=generator) < share


def _require(
    name: str, value: float | int, *, at_least: float | int, at_most: float | int = torch.inf
) -> None:
    if not at_least <= value <= at_most or value == torch.inf:
        upper = "" if at_most == torch.inf else f" and at most {at_most}"
        msg = f"{name} got {value}; allowed: finite numbers of at least {at_least}{upper}."
        raise RefusedInputError(msg)
