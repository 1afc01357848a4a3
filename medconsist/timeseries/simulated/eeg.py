"""EEG of a few sources: two rhythms and pink background, seen through smooth topographies."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.channel_names import normalise_channel
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.timeseries.simulated.noise import coloured, numpy_generators

__all__ = [
    "TEN_TWENTY",
    "TRAITS",
    "EegNoise",
    "EegRecipe",
    "EegShape",
    "eeg_channels",
    "electrode_positions",
    "simulate_eeg",
]

TRAITS = (
    "size of alpha",
    "frequency of alpha",
    "slope of the background",
    "size of the background",
    "side of alpha",
    "height of alpha",
    "side of theta",
    "breadth of topographies",
)
"""What tells the heads of this simulator apart, beside the size of theta; coordinates of a head."""

# angle from the vertex and from the nose to the right, in degrees
_PLACES = {
    "Fp1": (72, -18), "Fp2": (72, 18), "F7": (72, -54), "F8": (72, 54), "F3": (48, -40),
    "F4": (48, 40), "Fz": (36, 0), "T3": (72, -90), "T4": (72, 90), "C3": (36, -90),
    "C4": (36, 90), "Cz": (0, 0), "T5": (72, -126), "T6": (72, 126), "P3": (48, -140),
    "P4": (48, 140), "Pz": (36, 180), "O1": (72, -162), "O2": (72, 162),
}  # fmt: skip
TEN_TWENTY = tuple(_PLACES)
"""The nineteen electrodes of the 10-20 system, by their first names."""
_ALSO = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}

_BACKGROUND = ((0.6, 0.5, 0.6), (-0.6, 0.5, 0.6), (0.5, -0.4, 0.7), (-0.5, -0.4, 0.7))
_ALPHA_AT, _THETA_AT = (0.0, -0.85, 0.5), (0.0, 0.6, 0.8)
_ALPHA_UV, _THETA_UV, _BACKGROUND_UV, _BREADTH = 20.0, 12.0, 8.0, 3.0
_THETA_HZ = 6.0


@dataclass(frozen=True, kw_only=True, eq=False)
class EegShape:
    """Heads: sources, the first alpha, the second theta, the others background.

    Parameters
    ----------
    direction
        Where on the head each source is strongest: unit vectors, x to the right, y to the nose.
    breadth
        A source falls off as ``exp(breadth (cos - 1))`` of the angle to it.
    size
        Of each source where it is strongest: amplitude of a rhythm, standard deviation of the
        background [uV].
    alpha_hz
        Frequency of alpha.
    slope
        Exponent by which the power of the background falls with frequency.

    Examples
    --------
    >>> EegShape.of(np.zeros((1, 8))).alpha_hz.tolist()
    [10.0]
    """

    direction: Float[np.ndarray, "heads sources 3"]
    breadth: Float[np.ndarray, " heads"]
    size: Float[np.ndarray, "heads sources"]
    alpha_hz: Float[np.ndarray, " heads"]
    slope: Float[np.ndarray, " heads"]

    @classmethod
    def of(cls, traits: Float[np.ndarray, "heads 8"]) -> "EegShape":
        """Return heads from their coordinates along `TRAITS`; all 0 is the typical head.

        A unit is 40 % in the size of alpha, 0.8 Hz, 0.25 of slope, 30 % of background, 0.4 in place
        on a head of radius 1, 25 % of breadth (sizes and breadth as exponents).
        """
        size, hz, slope, background, side, height, theta_side, breadth = traits.T
        places = np.broadcast_to([_ALPHA_AT, _THETA_AT, *_BACKGROUND], (len(traits), 6, 3)).copy()
        places[:, 0, 0] += 0.4 * side
        places[:, 0, 2] += 0.4 * height
        places[:, 1, 0] += 0.4 * theta_side
        pink = _BACKGROUND_UV * np.exp(0.3 * background)
        rhythms = [_ALPHA_UV * np.exp(0.4 * size), np.full_like(size, _THETA_UV)]
        return cls(
            direction=places / np.linalg.norm(places, axis=-1, keepdims=True),
            breadth=_BREADTH * np.exp(0.25 * breadth),
            size=np.stack([*rhythms, *[pink] * len(_BACKGROUND)], -1),
            alpha_hz=10 + 0.8 * hz,
            slope=1 + 0.25 * slope,
        )


@dataclass(frozen=True, kw_only=True)
class EegNoise:
    """What is recorded beside the brain.

    Parameters
    ----------
    sensor
        Standard deviation of white noise of each electrode [uV].
    blinks, blink
        Blinks a second, and their height at the forehead [uV].

    Raises
    ------
    RefusedInputError
        A negative or infinite number.

    Examples
    --------
    >>> EegNoise(blinks=0.0).blink
    120.0
    """

    sensor: float | int = 1.5
    blinks: float | int = 0.2
    blink: float | int = 120.0

    def __post_init__(self) -> None:
        if not all(0 <= size < np.inf for size in (self.sensor, self.blinks, self.blink)):
            msg = f"{self}: sensor, blinks and blink must be finite, 0 or more."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class EegRecipe:
    """One recording of one simulated head.

    Parameters
    ----------
    seconds, rate
        Length and samples per second.
    spread
        Standard deviation of a head's coordinates along `TRAITS`; 0 gives the typical head.
    noise
        What is recorded beside the brain.
    channels
        Names of the 10-20 system, in the order wanted; T7, T8, P7, P8 are T3, T4, T5, T6.

    Examples
    --------
    >>> len(EegRecipe().channels)
    19
    """

    seconds: float | int = 10.0
    rate: float | int = 256.0
    spread: float | int = 1.0
    noise: EegNoise = field(default_factory=EegNoise)
    channels: tuple[str, ...] = TEN_TWENTY


def simulate_eeg(recipe: EegRecipe, *, generator: torch.Generator) -> InMemoryRecording:
    """Return an EEG in uV of a head of this simulator, nobody's.

    Raises
    ------
    RefusedInputError
        A name that is not of the 10-20 system, or a length or rate that hold no sample.

    Examples
    --------
    >>> recording = simulate_eeg(EegRecipe(seconds=1.0), generator=torch.Generator())
    >>> recording.read().shape, recording.info.units[0]
    ((256, 19), 'uV')
    """
    traits, rest = numpy_generators(generator, 2)
    samples = round(recipe.seconds * recipe.rate)
    info = RecordingInfo(
        rate=float(recipe.rate),
        channels=recipe.channels,
        units=("uV",) * len(recipe.channels),
        samples=samples,
        source="simulated EEG",
        notes=("Of a simulator, of no patient.",),
    )
    shape = EegShape.of(recipe.spread * traits.normal(size=(1, len(TRAITS))))
    signal = eeg_channels(
        rest,
        shape,
        np.ones((1, samples)),
        channels=recipe.channels,
        rate=recipe.rate,
        noise=recipe.noise,
    )
    return InMemoryRecording(info, signal[0].astype(np.float32))


def electrode_positions(channels: Sequence[str]) -> Float[np.ndarray, "channels 3"]:
    """Return electrodes on a head of radius 1: x to the right, y to the nose, z to the vertex.

    Raises
    ------
    RefusedInputError
        A name that is not of the 10-20 system.

    Examples
    --------
    >>> electrode_positions(["Cz"]).round().tolist()
    [[0.0, 0.0, 1.0]]
    """
    plain = [normalise_channel(name) for name in channels]
    names = [_ALSO.get(name, name) for name in plain]
    unknown = [name for name in names if name not in _PLACES]
    if unknown:
        msg = f"channel {unknown[0]!r} is none of {', '.join((*_PLACES, *_ALSO))}."
        raise RefusedInputError(msg)
    down, turn = np.deg2rad(np.array([_PLACES[name] for name in names], np.float64)).T
    return np.stack([np.sin(down) * np.sin(turn), np.sin(down) * np.cos(turn), np.cos(down)], -1)


def eeg_channels(
    rng: np.random.Generator,
    shape: EegShape,
    theta: Float[np.ndarray, "heads time"],
    *,
    channels: Sequence[str],
    rate: float | int,
    noise: EegNoise,
) -> Float[np.ndarray, "heads time channels"]:
    r"""Return channels [uV] against a far reference: sources mixed by topographies, plus noise.

    A source of size a and direction d is seen at an electrode at e with
    :math:`a \exp(\kappa (e \cdot d - 1))`: smooth, positive, of one breadth in a head. Rhythms keep
    their amplitude while their phase, uniform at the start, wanders by 1 rad in a second.

    Parameters
    ----------
    rng
        Drawn from as often for any shape.
    shape
        The heads.
    theta
        Factor of theta at each time.
    channels
        Names of the 10-20 system.
    rate
        Samples per second.
    noise
        What is recorded beside the brain.

    Raises
    ------
    RefusedInputError
        A name that is not of the 10-20 system.
    """
    heads, samples = theta.shape
    places = electrode_positions(channels)
    cosine = np.einsum("ec,nsc->nes", places, shape.direction)
    mixing = np.exp(shape.breadth[:, None, None] * (cosine - 1)) * shape.size[:, None]
    frequency = np.stack([shape.alpha_hz, np.full(heads, _THETA_HZ)], 1)
    pink = coloured(
        rng,
        (heads, len(_BACKGROUND), samples),
        rate=rate,
        band=(0.5, rate / 2),
        exponent=shape.slope[:, None],
    )
    rhythms = _rhythms(rng, frequency, samples, rate)
    rhythms[:, 1] *= theta
    seen = mixing @ np.concatenate([rhythms, pink], 1)
    seen += noise.sensor * rng.normal(size=seen.shape)
    seen += _blinks(rng, places, (heads, samples), rate=rate, noise=noise)
    return seen.swapaxes(1, 2)


def _rhythms(
    rng: np.random.Generator,
    frequency: Float[np.ndarray, "heads rhythms"],
    samples: int,
    rate: float | int,
) -> Float[np.ndarray, "heads rhythms time"]:
    start = rng.uniform(0, 2 * np.pi, size=(*frequency.shape, 1))
    steps = rng.normal(size=(*frequency.shape, samples)) / np.sqrt(rate)
    turn = 2 * np.pi * frequency[..., None] * np.arange(samples) / rate
    return np.sin(start + turn + np.cumsum(steps, -1))


def _blinks(
    rng: np.random.Generator,
    places: Float[np.ndarray, "channels 3"],
    size: tuple[int, int],
    *,
    rate: float | int,
    noise: EegNoise,
) -> Float[np.ndarray, "heads channels time"]:
    """Return blinks: a bump of 0.3 s, seen from the forehead on back, as often as asked."""
    heads, samples = size
    starts = rng.random(size=(heads, samples)) < noise.blinks / rate
    bump = np.hanning(max(3, round(0.3 * rate)))
    padded = np.fft.rfft(starts, samples + len(bump)) * np.fft.rfft(bump, samples + len(bump))
    course = np.fft.irfft(padded, samples + len(bump))[:, :samples]
    at_eyes = np.exp(6 * (places @ np.array([0.0, 0.95, 0.31]) - 1))
    return noise.blink * course[:, None] * at_eyes[:, None]
