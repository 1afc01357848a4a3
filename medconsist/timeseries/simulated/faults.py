"""Planted faults: what goes wrong with electrodes, leads and devices, one small function each."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float

from medconsist.errors import RefusedInputError
from medconsist.timeseries.simulated import noise
from medconsist.timeseries.simulated.leads import ELECTRODES, LEADS, derivation
from medconsist.timeseries.window_set import WindowSet

__all__ = [
    "FAULTS",
    "device_noise",
    "electrode_pop",
    "flat_lead",
    "gain_change",
    "mains",
    "plant",
    "pop_course",
    "swap_electrodes",
]

Signal = Float[np.ndarray, "*rows time channels"]


def swap_electrodes(signal: Signal, *, channels: Sequence[str], first: str, second: str) -> Signal:
    """Return the signal as it would be with two electrodes in each other's place.

    Of the leads of an ECG every one changes that has an electrode to do with it: RA and LA swapped
    turn I round, and change II with III and aVR with aVL. Other channels are electrodes themselves.

    Parameters
    ----------
    signal
        Of any unit.
    channels
        Names; all of the twelve leads, or none.
    first, second
        RA, LA, LL or V1 to V6; or two channels.

    Raises
    ------
    RefusedInputError
        A name that is not there, or leads that do not tell what the others would become.

    Examples
    --------
    >>> leads = np.array([[1.0, 3.0]])
    >>> swap_electrodes(leads, channels=("I", "II"), first="RA", second="LA").round(9).tolist()
    [[-1.0, 2.0]]
    """
    takes, electrodes = _takes(channels)
    order = list(range(len(electrodes)))
    one, other = (_place(name, electrodes) for name in (first, second))
    order[one], order[other] = other, one
    swapped = takes[:, order]
    change = swapped @ np.linalg.pinv(takes)
    if not np.allclose(change @ takes, swapped, atol=1e-9):
        msg = (
            f"{first} and {second} cannot be swapped in {', '.join(channels)}: these leads do not "
            "say what they would become; give I and II as well."
        )
        raise RefusedInputError(msg)
    return (signal @ change.T).astype(signal.dtype)


def electrode_pop(
    signal: Signal,
    *,
    channels: Sequence[str],
    electrode: str,
    height: float | int,
    course: Float[np.ndarray, " time"],
) -> Signal:
    """Return the signal with a jump of one electrode's potential, in every lead that it enters.

    Parameters
    ----------
    signal
        Of any unit.
    channels
        Names; all of the twelve leads, or none.
    electrode
        RA, LA, LL or V1 to V6; or a channel.
    height
        In the unit of the signal.
    course
        Of the potential over time, at most 1; see `pop_course`.

    Raises
    ------
    RefusedInputError
        A name that is not there.
    """
    takes, electrodes = _takes(channels)
    column = takes[:, _place(electrode, electrodes)]
    return (signal + height * course[:, None] * column).astype(signal.dtype)


def flat_lead(signal: Signal, *, channels: Sequence[str], lead: str) -> Signal:
    """Return the signal with one channel at 0 throughout, as when a cable is off.

    Raises
    ------
    RefusedInputError
        A name that is not there.
    """
    flat = signal.copy()
    flat[..., _place(lead, tuple(channels))] = 0
    return flat


def gain_change(signal: Signal, *, factor: float | int) -> Signal:
    """Return the signal times a factor, as when a device is set to 5 mm/mV and says 10."""
    return (signal * factor).astype(signal.dtype)


def mains(
    signal: Signal,
    *,
    amplitude: float | int,
    rate: float | int,
    hz: float | int = 50.0,
    generator: torch.Generator,
) -> Signal:
    """Return the signal with the hum of the mains, of a phase of its own in each channel."""
    (rng,) = noise.numpy_generators(generator, 1)
    rows = (*signal.shape[:-2], signal.shape[-1], signal.shape[-2])
    hum = noise.mains(rng, rows, rate=rate, hz=hz).swapaxes(-1, -2)
    return (signal + amplitude * hum).astype(signal.dtype)


def device_noise(signal: Signal, *, deviation: float | int, generator: torch.Generator) -> Signal:
    """Return the signal with white noise of another amplifier, in each channel on its own."""
    (rng,) = noise.numpy_generators(generator, 1)
    return (signal + deviation * rng.normal(size=signal.shape)).astype(signal.dtype)


def pop_course(
    samples: int, *, rate: float | int, at: float | int, decay: float | int = 0.3
) -> Float[np.ndarray, " time"]:
    """Return 0 until ``at`` seconds, then 1 that decays by 1/e in ``decay`` seconds."""
    since = np.arange(samples) / rate - at
    return np.where(since < 0, 0.0, np.exp(-np.maximum(since, 0) / decay))


def plant(windows: WindowSet, name: str, *, generator: torch.Generator) -> WindowSet:
    """Return a copy of windows with one fault in all of them, for a curve of alarms.

    Sizes are told by the windows: a *spread* is the median over channels and windows of the
    standard deviation within a window.

    Parameters
    ----------
    windows
        Leads of an ECG, or other channels.
    name
        One of `FAULTS`: ``swap`` (RA and LA, else the first two channels), ``pop`` (LA, else the
        first channel, by 5 spreads at a random time), ``flat`` (the last channel), ``mains`` (a
        spread / 2 at 50 Hz), ``device`` (a spread / 4 of white noise), ``gain`` (a half).
    generator
        For the faults that draw.

    Raises
    ------
    RefusedInputError
        Another name, or channels that a swap cannot be told from.

    Examples
    --------
    >>> from medconsist.timeseries.simulated.cohort import simulate_cohort
    >>> from medconsist.timeseries.simulated.recipe import CohortRecipe
    >>> recipe = CohortRecipe(patients=2, trials=1)
    >>> windows = simulate_cohort(recipe, generator=torch.Generator()).windows
    >>> float(plant(windows, "flat", generator=torch.Generator()).batch()[..., -1].abs().max())
    0.0
    """
    if name not in FAULTS:
        msg = f"fault got {name!r}; allowed: {', '.join(FAULTS)}."
        raise RefusedInputError(msg)
    signals = windows.batch().numpy()
    return WindowSet(
        FAULTS[name](signals, windows, generator),
        windows.table,
        rate=windows.rate,
        channels=windows.channels,
        units=windows.units,
    )


def _takes(channels: Sequence[str]) -> tuple[Float[np.ndarray, "channels _"], tuple[str, ...]]:
    """Return what each channel takes of each electrode, and the electrodes."""
    if all(name in LEADS for name in channels):
        return derivation(channels), ELECTRODES
    return np.eye(len(channels)), tuple(channels)


def _place(name: str, names: tuple[str, ...]) -> int:
    if name not in names:
        msg = f"{name!r} is not there; allowed: {', '.join(names)}."
        raise RefusedInputError(msg)
    return names.index(name)


def _spread(signals: Signal) -> float:
    return float(np.median(signals.std(axis=-2)))


def _ends(windows: WindowSet) -> tuple[str, str]:
    electrodes = _takes(windows.channels)[1]
    return electrodes[0], electrodes[1]


def _swap(signals: Signal, windows: WindowSet, _: torch.Generator) -> Signal:
    first, second = _ends(windows)
    return swap_electrodes(signals, channels=windows.channels, first=first, second=second)


def _pop(signals: Signal, windows: WindowSet, generator: torch.Generator) -> Signal:
    electrode = "LA" if _takes(windows.channels)[1] == ELECTRODES else windows.channels[0]
    seconds = windows.samples / windows.rate
    height = 5 * _spread(signals)
    popped = [
        electrode_pop(
            signal,
            channels=windows.channels,
            electrode=electrode,
            height=height,
            course=pop_course(windows.samples, rate=windows.rate, at=when * seconds),
        )
        for signal, when in zip(
            signals, (0.8 * torch.rand(len(signals), generator=generator)).tolist(), strict=True
        )
    ]
    return np.stack(popped)


def _flat(signals: Signal, windows: WindowSet, _: torch.Generator) -> Signal:
    return flat_lead(signals, channels=windows.channels, lead=windows.channels[-1])


def _mains(signals: Signal, windows: WindowSet, generator: torch.Generator) -> Signal:
    return mains(signals, amplitude=_spread(signals) / 2, rate=windows.rate, generator=generator)


def _device(signals: Signal, _: WindowSet, generator: torch.Generator) -> Signal:
    return device_noise(signals, deviation=_spread(signals) / 4, generator=generator)


def _gain(signals: Signal, _: WindowSet, __: torch.Generator) -> Signal:
    return gain_change(signals, factor=0.5)


FAULTS: Mapping[str, Callable[[Signal, WindowSet, torch.Generator], Signal]] = MappingProxyType(
    {"swap": _swap, "pop": _pop, "flat": _flat, "mains": _mains, "device": _device, "gain": _gain}
)
"""What `plant` can plant."""
