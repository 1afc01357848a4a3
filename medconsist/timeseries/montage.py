"""Other leads from the recorded ones: EEG references, bipolar chains, ECG limb leads.

Every montage is one matrix over channel names, so that nothing is computed that is not written in
it: ``new = old @ weights.T``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.channel_names import kind_of_channel, normalise_channel
from medconsist.timeseries.recording import InMemoryRecording, Recording

__all__ = [
    "DOUBLE_BANANA",
    "MONTAGES",
    "NOT_EEG",
    "Montage",
    "average_reference",
    "cz_reference",
    "double_banana",
    "eeg_only",
    "in_montage",
    "limb_leads",
    "montage_named",
]

# Eye channels and the unconnected one of the SMNI recordings, by their names there.
NOT_EEG = ("X", "Y", "nd")
# Names of the 10-20 system, and what the 10-10 system calls the same places.
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_CHAINS = (
    ("Fp1", "F7", "T3", "T5", "O1"),
    ("Fp2", "F8", "T4", "T6", "O2"),
    ("Fp1", "F3", "C3", "P3", "O1"),
    ("Fp2", "F4", "C4", "P4", "O2"),
    ("Fz", "Cz", "Pz"),
)
DOUBLE_BANANA = tuple((first, second) for chain in _CHAINS for first, second in pairwise(chain))
# Einthoven and Goldberger: everything of the limbs is in I and II.
_LIMB = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Montage:
    """New channels as weighted sums of old ones.

    Parameters
    ----------
    name
        As a recording notes it.
    inputs
        Names of the old channels, in their order.
    outputs
        Names of the new channels.
    weights
        ``outputs inputs``.

    Examples
    --------
    >>> eeg_only(("Cz", "X")).outputs
    ('Cz',)
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: Float64[npt.NDArray[np.float64], "outputs inputs"]

    def units(self, units: tuple[str | None, ...]) -> tuple[str | None, ...]:
        """Return the units of the new channels, for those of the old ones.

        Raises
        ------
        RefusedInputError
            A sum of channels of different units.
        """
        return tuple(
            _one_unit([units[k] for k in np.flatnonzero(weights)], output)
            for output, weights in zip(self.outputs, self.weights, strict=True)
        )


def in_montage(recording: Recording, montage: Montage) -> InMemoryRecording:
    """Return a recording in another montage; a new channel has the unit of what it is made of.

    A sample that is missing (NaN) in a channel is missing in the new channels made of it alone.

    Parameters
    ----------
    recording
        With the channels that the montage was made for.
    montage
        See `Montage`.

    Raises
    ------
    RefusedInputError
        Other channels than the montage was made for, or channels of different units in one sum.

    Examples
    --------
    >>> from medconsist.timeseries.recording import RecordingInfo
    >>> info = RecordingInfo(rate=2.0, channels=("I", "II"), units=("mV", "mV"), samples=1)
    >>> recording = InMemoryRecording(info, np.array([[1.0, 3.0]], np.float32))
    >>> new = in_montage(recording, limb_leads(info.channels))
    >>> dict(zip(new.info.channels, new.read()[0].tolist()))["III"]
    2.0
    """
    info = recording.info
    if info.channels != montage.inputs:
        msg = (
            f"{info.source}: the montage {montage.name} was made for {list(montage.inputs)}, the "
            f"recording has {list(info.channels)}. Make one for these."
        )
        raise RefusedInputError(msg)
    units = montage.units(info.units)
    signal = recording.read().astype(np.float64)
    if np.isfinite(signal).all():
        new_signal = signal @ montage.weights.T
    else:
        # Sums over the channels used alone: 0 times a missing sample would be missing.
        parts = [(np.flatnonzero(weights), weights) for weights in montage.weights]
        new_signal = np.stack([signal[:, used] @ weights[used] for used, weights in parts], axis=1)
    note = f"Montage: {montage.name}."
    new = replace(info, channels=montage.outputs, units=units, notes=(*info.notes, note))
    return InMemoryRecording(new, new_signal.astype(np.float32))


def eeg_only(channels: tuple[str, ...]) -> Montage:
    """Return the recorded EEG channels as they are, without `NOT_EEG`.

    Raises
    ------
    RefusedInputError
        No EEG channel is left, or a channel is no known electrode.
    """
    kept = _eeg(channels)
    return _montage("EEG channels as recorded", channels, {name: {name: 1.0} for name in kept})


def average_reference(channels: tuple[str, ...]) -> Montage:
    """Return each EEG channel minus the mean of all EEG channels; others are dropped.

    Raises
    ------
    RefusedInputError
        No EEG channel is left, or a channel is no known electrode.
    """
    kept = _eeg(channels)
    share = 1 / len(kept)
    sums = {name: {other: float(other == name) - share for other in kept} for name in kept}
    return _montage("average reference", channels, sums)


def cz_reference(channels: tuple[str, ...]) -> Montage:
    """Return each EEG channel minus Cz, without Cz itself; others are dropped.

    Raises
    ------
    RefusedInputError
        There is no Cz.
    """
    kept = _eeg(channels)
    (centre,) = _found(("Cz",), channels)
    sums = {name: {name: 1.0, centre: -1.0} for name in kept if name != centre}
    return _montage("Cz reference", channels, sums)


def double_banana(channels: tuple[str, ...]) -> Montage:
    """Return the 18 differences of the longitudinal bipolar montage, front to back.

    Electrodes are found under their names of the 10-20 or the 10-10 system (T3 is T7), in capital
    or small letters; outputs have the older names, such as ``"Fp1-F7"``.

    Raises
    ------
    RefusedInputError
        Names every electrode that is missing.
    """
    wanted = tuple(dict.fromkeys(name for pair in DOUBLE_BANANA for name in pair))
    found = dict(zip(wanted, _found(wanted, channels), strict=True))
    sums = {
        f"{first}-{second}": {found[first]: 1.0, found[second]: -1.0}
        for first, second in DOUBLE_BANANA
    }
    return _montage("longitudinal bipolar", channels, sums)


def limb_leads(channels: tuple[str, ...]) -> Montage:
    """Return all recorded leads, and those of III, aVR, aVL and aVF that were not, from I and II.

    ``III = II - I``, ``aVR = -(I + II)/2``, ``aVL = I - II/2``, ``aVF = II - I/2``.

    Raises
    ------
    RefusedInputError
        There is no lead I or no lead II.
    """
    first, second = _found(("I", "II"), channels)
    sums = {name: {name: 1.0} for name in channels}
    there = {_key(name) for name in channels}
    for name, (of_first, of_second) in _LIMB.items():
        if _key(name) not in there:
            sums[name] = {first: of_first, second: of_second}
    return _montage("limb leads from I and II", channels, sums)


MONTAGES: Mapping[str, Callable[[tuple[str, ...]], Montage]] = {
    "eeg-only": eeg_only,
    "average": average_reference,
    "cz": cz_reference,
    "double-banana": double_banana,
    "limb-leads": limb_leads,
}


def montage_named(name: str, channels: tuple[str, ...]) -> Montage:
    """Return one of `MONTAGES` for these channels.

    Raises
    ------
    RefusedInputError
        Another name; says the nearest one. Or a missing electrode.

    Examples
    --------
    >>> montage_named("cz", ("Cz", "Pz")).outputs
    ('Pz',)
    """
    if name not in MONTAGES:
        msg = f"there is no montage {name!r}. {nearest(name, list(MONTAGES))}"
        raise RefusedInputError(msg)
    return MONTAGES[name](channels)


def _montage(
    name: str, channels: tuple[str, ...], sums: Mapping[str, Mapping[str, float]]
) -> Montage:
    weights = np.array(
        [[parts.get(channel, 0.0) for channel in channels] for parts in sums.values()]
    )
    return Montage(name=name, inputs=channels, outputs=tuple(sums), weights=weights)


def _eeg(channels: tuple[str, ...]) -> list[str]:
    dropped = {name.casefold() for name in NOT_EEG}
    kept = [name for name in channels if name.casefold() not in dropped]
    strange = [name for name in kept if kind_of_channel(name) != "eeg"]
    if strange or not kept:
        msg = (
            f"{strange or list(channels)} are no electrodes of the 10-20 or 10-10 system (only "
            f"{list(NOT_EEG)} are left out by themselves). Name the channels that are wanted."
        )
        raise RefusedInputError(msg)
    return kept


def _key(name: str) -> str:
    usual = normalise_channel(name)
    return _OLD_NAMES.get(usual, usual)


def _found(wanted: tuple[str, ...], channels: tuple[str, ...]) -> list[str]:
    there = {_key(name): name for name in channels}
    missing = [name for name in wanted if _key(name) not in there]
    if missing:
        msg = f"this montage needs {missing}, which are not among the channels {list(channels)}."
        raise RefusedInputError(msg)
    return [there[_key(name)] for name in wanted]


def _one_unit(units: list[str | None], output: str) -> str | None:
    if len(set(units)) > 1:
        found = sorted({str(unit) for unit in units})
        msg = (
            f"{output} would be a sum of channels in {found} (None: not known). Bring them to one "
            "unit first."
        )
        raise RefusedInputError(msg)
    return units[0]
