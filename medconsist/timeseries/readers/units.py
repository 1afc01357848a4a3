"""Physical units: one spelling each, unknown stays unknown, and voltages into one another."""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.channel_names import kind_of_channel
from medconsist.timeseries.recording import RecordingInfo

__all__ = ["KNOWN_UNITS", "in_unit", "known_unit", "normalise_unit", "require_one_unit", "volts"]

_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}
# "MV" is no spelling of mV: it is a million volts to whoever wrote it, or a mistake.
_SPELLINGS = {
    "V": ("V", "Volt", "volt", "Volts", "volts"),
    "mV": ("mV", "mv", "millivolt", "millivolts"),
    "uV": ("uV", "uv", "µV", "µv", "μV", "μv", "microvolt", "microvolts"),
    "nV": ("nV", "nv"),
    "mmHg": ("mmHg", "mmhg", "mm[Hg]"),
    "%": ("%", "percent"),
    "bpm": ("bpm", "/min", "{beats}/min"),
    "degC": ("degC", "Cel", "°C"),
    "uS": ("uS", "µS", "μS"),
    "nA": ("nA",),
    "mA": ("mA",),
    "Ohm": ("Ohm", "ohm", "Ω"),
    "kOhm": ("kOhm", "kohm", "kΩ"),
    "g": ("g", "[g]"),
}
_BY_SPELLING = {spelling: unit for unit, all_ in _SPELLINGS.items() for spelling in all_}
KNOWN_UNITS = tuple(_SPELLINGS)


def normalise_unit(text: str | None) -> str | None:
    """Return the one spelling of a unit; None for what is not surely known, such as ``"NU"``.

    Examples
    --------
    >>> normalise_unit("mv"), normalise_unit("μV"), normalise_unit("NU"), normalise_unit("MV")
    ('mV', 'uV', None, None)
    """
    return None if text is None else _BY_SPELLING.get(text.strip())


def known_unit(text: str) -> str:
    """Return the one spelling of a unit that must be known.

    Raises
    ------
    RefusedInputError
        It is not.
    """
    unit = normalise_unit(text)
    if unit is None:
        msg = f"The unit {text!r} is not known; allowed: {', '.join(KNOWN_UNITS)}."
        raise RefusedInputError(msg)
    return unit


def volts(unit: str | None) -> float:
    """Return how many volts one of a unit is.

    Raises
    ------
    RefusedInputError
        It is unknown, or no voltage.

    Examples
    --------
    >>> volts("mV")
    0.001
    """
    if unit not in _VOLTS:
        msg = f"The unit {unit!r} is no known voltage; allowed: {', '.join(_VOLTS)}."
        raise RefusedInputError(msg)
    return _VOLTS[unit]


def in_unit(
    signal: Float32[npt.NDArray[np.float32], "time channels"],
    units: tuple[str | None, ...],
    unit: str,
) -> Float32[npt.NDArray[np.float32], "time channels"]:
    """Return a signal with every channel in one unit of voltage.

    Parameters
    ----------
    signal
        ``time channels``.
    units
        Of its channels.
    unit
        Wanted: V, mV, uV or nV.

    Raises
    ------
    RefusedInputError
        A channel has no unit, or one that is no voltage.

    Examples
    --------
    >>> in_unit(np.ones((1, 2), np.float32), ("mV", "uV"), "uV").tolist()
    [[1000.0, 1.0]]
    """
    wanted = volts(unit)
    # The larger divided by the smaller is exact (1000 and not 1e-3/1e-6); the inverse is not.
    factors = [_ratio(volts(one), wanted) for one in units]
    return (signal * np.asarray(factors)).astype(np.float32)


def _ratio(numerator: float, denominator: float) -> float:
    if numerator >= denominator:
        return float(round(numerator / denominator))
    return 1 / round(denominator / numerator)


def require_one_unit(info: RecordingInfo, kind: str) -> str | None:
    """Return the unit that all ECG leads, or all EEG channels, of a recording share.

    Parameters
    ----------
    info
        Of the recording.
    kind
        ``"ecg"``, ``"eeg"`` or ``"other"``, see `kind_of_channel`.

    Raises
    ------
    RefusedInputError
        Two of them differ, one without a unit among others with one included; or there is none.

    Examples
    --------
    >>> info = RecordingInfo(rate=1.0, channels=("I", "PLETH"), units=("mV", None), samples=1)
    >>> require_one_unit(info, "ecg")
    'mV'
    """
    pairs = zip(info.channels, info.units, strict=True)
    found = {name: unit for name, unit in pairs if kind_of_channel(name) == kind}
    if not found:
        msg = f"{info.source}: none of {list(info.channels)[:20]} is known to be {kind}."
        raise RefusedInputError(msg)
    if len(set(found.values())) > 1:
        msg = (
            f"{info.source}: {kind} channels have the units {found}; allowed: one unit for all of "
            "a kind. Convert them with in_unit, or leave out those without a unit."
        )
        raise RefusedInputError(msg)
    return next(iter(found.values()))
