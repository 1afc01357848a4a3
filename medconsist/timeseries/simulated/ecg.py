"""ECG of the dynamical model of McSharry et al., with a heart dipole in place of one voltage."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from medconsist.errors import RefusedInputError
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.timeseries.simulated.leads import LEADS, derivation, electrode_vectors
from medconsist.timeseries.simulated.noise import coloured, mains, numpy_generators, wander

__all__ = [
    "TRAITS",
    "EcgNoise",
    "EcgRecipe",
    "EcgShape",
    "dipole",
    "ecg_leads",
    "heart_phase",
    "simulate_ecg",
]

TRAITS = (
    "size of P",
    "size of QRS",
    "width of QRS",
    "width of T",
    "place of T",
    "axis in the frontal plane",
    "axis in the horizontal plane",
    "heart rate",
)
"""What tells the hearts of this simulator apart, beside the size of T; coordinates of a shape."""

_T = 4  # of P, Q, R, S, T
# McSharry et al. 2003, Table I: where each wave is [rad after R] and how wide [rad], at 60 bpm
_CENTRE = np.pi * np.array([-1 / 3, -1 / 12, 0.0, 1 / 12, 1 / 2])
_WIDTH = np.array([0.25, 0.1, 0.1, 0.1, 0.4])
# our choice [mV]: leads I, II, V5, V6 upright, rS in V1, transition in V3, in the range of adults
_DIPOLE = np.array(
    [
        [0.08, 0.12, -0.02],
        [-0.20, -0.08, -0.25],
        [1.10, 0.75, 0.40],
        [-0.15, -0.05, 0.35],
        [0.28, 0.20, -0.12],
    ]
)
_SIZE, _RATE, _STRETCH, _SHIFT, _TURN = 0.15, 0.12, 0.1, 0.08, np.deg2rad(12)
_SINES = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class EcgShape:
    r"""Hearts: what their five waves P, Q, R, S, T are, and how fast and even they beat.

    Parameters
    ----------
    dipole
        Dipole :math:`\alpha_i` at the height of each wave [mV], x to the left, y to the feet, z
        to the back.
    centre, width
        :math:`\theta_i` and :math:`b_i`, both in radians of a beat; R is at 0.
    heart_rate, heart_rate_std
        Mean and standard deviation, beats per minute.

    Examples
    --------
    >>> EcgShape.of(np.zeros((1, 8)), heart_rate=60.0).centre[0, 2]
    np.float64(0.0)
    """

    dipole: Float[np.ndarray, "hearts 5 3"]
    centre: Float[np.ndarray, "hearts 5"]
    width: Float[np.ndarray, "hearts 5"]
    heart_rate: Float[np.ndarray, " hearts"]
    heart_rate_std: Float[np.ndarray, " hearts"]

    @classmethod
    def of(
        cls,
        traits: Float[np.ndarray, "hearts 8"],
        *,
        heart_rate: float | int = 70.0,
        heart_rate_std: float | int = 2.0,
    ) -> "EcgShape":
        r"""Return hearts from their coordinates along `TRAITS`; all 0 is the typical heart.

        A unit is 15 % in size, 10 % in width, 0.08 rad of place, 12 degrees of axis, 12 % of heart
        rate (all but angles and places as exponents). At h beats per minute waves are wider in
        radians by :math:`\sqrt{h/60}`, Q and S further from R by as much, P and T by
        :math:`(h/60)^{1/4}`: the rule of the authors' program ecgsyn, not of the paper.
        """
        size_p, size_qrs, wide_qrs, wide_t, place, frontal, horizontal, rate = traits.T
        beats = heart_rate * np.exp(_RATE * rate)
        root = np.sqrt(beats / 60)[:, None]
        zero = np.zeros_like(rate)
        sizes = np.exp(_SIZE * np.stack([size_p, *[size_qrs] * 3, zero], -1))
        widths = np.exp(_STRETCH * np.stack([zero, *[wide_qrs] * 3, wide_t], -1))
        apart = np.exp(_STRETCH * np.stack([zero, wide_qrs, zero, wide_qrs, zero], -1))
        turned = np.einsum("nij,wj->nwi", _turns(_TURN * frontal, _TURN * horizontal), _DIPOLE)
        spread = np.concatenate([root**0.5, root, np.ones_like(root), root, root**0.5], 1)
        centre = spread * apart * _CENTRE
        centre[:, _T] += _SHIFT * place
        return cls(
            dipole=sizes[..., None] * turned,
            centre=centre,
            width=root * _WIDTH * widths,
            heart_rate=beats,
            heart_rate_std=np.full(len(traits), float(heart_rate_std)),
        )


@dataclass(frozen=True, kw_only=True)
class EcgNoise:
    """What electrodes add to the heart, in mV on each electrode on its own.

    Parameters
    ----------
    wander, muscle
        Standard deviations; wander is below 0.5 Hz, muscle from 20 to 120 Hz.
    mains, mains_hz
        Amplitude and frequency [Hz].

    Raises
    ------
    RefusedInputError
        A negative or infinite size.

    Examples
    --------
    >>> EcgNoise(mains=0.0).mains_hz
    50.0
    """

    wander: float | int = 0.05
    muscle: float | int = 0.01
    mains: float | int = 0.005
    mains_hz: float | int = 50.0

    def __post_init__(self) -> None:
        if not all(0 <= size < np.inf for size in (self.wander, self.muscle, self.mains)):
            msg = f"{self}: wander, muscle and mains must be finite, 0 or more [mV]."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class EcgRecipe:
    """One recording of one simulated heart.

    Parameters
    ----------
    seconds, rate
        Length and samples per second.
    heart_rate, heart_rate_std
        Of the typical heart, beats per minute.
    spread
        Standard deviation of a heart's coordinates along `TRAITS`; 0 gives the typical heart.
    noise
        What electrodes add.
    leads
        Of the twelve, in the order wanted.

    Examples
    --------
    >>> EcgRecipe(seconds=2.0).rate
    500.0
    """

    seconds: float | int = 10.0
    rate: float | int = 500.0
    heart_rate: float | int = 70.0
    heart_rate_std: float | int = 2.0
    spread: float | int = 1.0
    noise: EcgNoise = field(default_factory=EcgNoise)
    leads: tuple[str, ...] = LEADS


def simulate_ecg(recipe: EcgRecipe, *, generator: torch.Generator) -> InMemoryRecording:
    """Return an ECG in mV of a heart of this simulator, nobody's.

    Raises
    ------
    RefusedInputError
        A lead that is none of the twelve, or a length or rate that hold no sample.

    Examples
    --------
    >>> recording = simulate_ecg(EcgRecipe(seconds=1.0), generator=torch.Generator())
    >>> recording.read().shape, recording.info.units[0]
    ((500, 12), 'mV')
    """
    traits, beats, rest = numpy_generators(generator, 3)
    samples = round(recipe.seconds * recipe.rate)
    info = RecordingInfo(
        rate=float(recipe.rate),
        channels=recipe.leads,
        units=("mV",) * len(recipe.leads),
        samples=samples,
        source="simulated ECG",
        notes=("Of a simulator, of no patient.",),
    )
    shape = EcgShape.of(
        recipe.spread * traits.normal(size=(1, len(TRAITS))),
        heart_rate=recipe.heart_rate,
        heart_rate_std=recipe.heart_rate_std,
    )
    phase = heart_phase(beats, shape, samples=samples, rate=recipe.rate)
    heart = dipole(phase, shape)
    signal = ecg_leads(rest, heart, leads=recipe.leads, rate=recipe.rate, noise=recipe.noise)
    return InMemoryRecording(info, signal[0].astype(np.float32))


def heart_phase(
    rng: np.random.Generator, shape: EcgShape, *, samples: int, rate: float | int
) -> Float[np.ndarray, "hearts time"]:
    r"""Return the angle of each heart over time [rad], growing; R is at multiples of 2 pi.

    :math:`\dot\theta = 2\pi / T(t)` with an RR interval T whose spectrum is that of McSharry et al.
    2003, eq. 2 to 5: two bands, 0.1 Hz of blood pressure and 0.25 Hz of breathing, both 0.01 Hz
    wide, the ratio of their powers 0.5; here as eight sines of each band, and not a beat at a time
    but continuous. It starts anywhere in a beat.
    """
    hearts = len(shape.heart_rate)
    band = np.repeat([0.1, 0.25], _SINES)
    power = np.repeat([1 / 3, 2 / 3], _SINES) / _SINES
    frequency = rng.normal(band, 0.01, size=(hearts, 2 * _SINES))[..., None]
    at = rng.uniform(0, 2 * np.pi, size=(hearts, 2 * _SINES, 1))
    seconds = np.arange(samples) / rate
    sines = np.sin(2 * np.pi * frequency * seconds + at)
    uneven = np.einsum("nst,s->nt", sines, np.sqrt(2 * power))
    mean = 60 / shape.heart_rate[:, None]
    interval = mean * (1 + (shape.heart_rate_std / shape.heart_rate)[:, None] * uneven)
    speed = 2 * np.pi / np.maximum(interval, 0.2)  # 300 beats a minute are the fastest
    start = rng.uniform(0, 2 * np.pi, size=(hearts, 1))
    steps = (speed[:, 1:] + speed[:, :-1]) / (2 * rate)
    return start + np.concatenate([np.zeros((hearts, 1)), np.cumsum(steps, 1)], 1)


def dipole(
    phase: Float[np.ndarray, "hearts time"],
    shape: EcgShape,
    *,
    t_wave: Float[np.ndarray, "hearts time"] | None = None,
) -> Float[np.ndarray, "hearts time 3"]:
    r"""Return the heart dipole [mV] at each angle.

    Each component solves the third equation of the model (McSharry et al. 2003, eq. 1,
    doi:10.1109/TBME.2003.808805) on its limit cycle, where :math:`\theta` alone moves,

    .. math:: \dot z = -\sum_i a_i \Delta\theta_i \exp(-\Delta\theta_i^2 / 2 b_i^2),
              \quad a_i = \alpha_i \dot\theta / b_i^2
              \quad\Rightarrow\quad z = \sum_i \alpha_i \exp(-\Delta\theta_i^2 / 2 b_i^2)

    The paper has constant :math:`a_i`, so that waves shrink when the heart is fast, and a term
    :math:`-(z - z_0)` that pulls the drift of its numerical solution back; the closed form drifts
    not, and baseline wander comes with the noise.

    Parameters
    ----------
    phase
        Angles [rad], any multiple of 2 pi away.
    shape
        Of the same hearts.
    t_wave
        Factor of the T wave at each time; None is 1.
    """
    away = phase[..., None] - shape.centre[:, None]
    away -= 2 * np.pi * np.round(away / (2 * np.pi))
    waves = np.exp(-0.5 * (away / shape.width[:, None]) ** 2)
    if t_wave is not None:
        waves[..., _T] *= t_wave
    return waves @ shape.dipole


def ecg_leads(
    rng: np.random.Generator,
    heart: Float[np.ndarray, "hearts time 3"],
    *,
    leads: Sequence[str],
    rate: float | int,
    noise: EcgNoise,
) -> Float[np.ndarray, "hearts time leads"]:
    """Return leads of dipoles [mV]; noise is that of electrodes, so Einthoven's law holds in it.

    Raises
    ------
    RefusedInputError
        A name that is none of the twelve leads.
    """
    project = derivation(leads)
    electrodes = electrode_vectors()
    shape = (len(heart), len(electrodes), heart.shape[1])
    added = noise.wander * wander(rng, shape, rate=rate)
    added += noise.muscle * coloured(rng, shape, rate=rate, band=(20, 120))
    added += noise.mains * mains(rng, shape, rate=rate, hz=noise.mains_hz)
    return heart @ (project @ electrodes).T + added.swapaxes(1, 2) @ project.T


def _turns(
    frontal: Float[np.ndarray, " hearts"], horizontal: Float[np.ndarray, " hearts"]
) -> Float[np.ndarray, "hearts 3 3"]:
    """Return rotations about z and then about y."""
    zero, one = np.zeros_like(frontal), np.ones_like(frontal)
    c, s = np.cos(frontal), np.sin(frontal)
    about_z = np.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).reshape(-1, 3, 3)
    c, s = np.cos(horizontal), np.sin(horizontal)
    about_y = np.stack([c, zero, s, zero, one, zero, -s, zero, c], -1).reshape(-1, 3, 3)
    return about_y @ about_z
