"""Names of ECG leads and of EEG electrodes, written as the field writes them."""

import re
from collections.abc import Sequence
from typing import Literal

__all__ = ["LIMB_LEADS", "TWELVE_LEADS", "kind_of_channel", "normalise_channel", "normalise_names"]

LIMB_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF")
TWELVE_LEADS = (*LIMB_LEADS, "V1", "V2", "V3", "V4", "V5", "V6")
_MORE_LEADS = (
    *("V7", "V8", "V9", "V2R", "V3R", "V4R", "V5R", "V6R", "Vx", "Vy", "Vz"),
    *("MLI", "MLII", "MLIII", "MCL1", "MCL6", "CM5"),
)
_PLACES = {  # of each row of the 10-10 system, and the older T3 to T6
    "z 1 2": ("Fp", "O"),
    "z 1 2 3 4 5 6 7 8": ("AF", "PO"),
    "z 1 2 3 4 5 6 7 8 9 10": ("F", "P"),
    "z 1 2 3 4 5 6": ("FC", "C", "CP"),
    "7 8 9 10": ("FT", "TP"),
    "3 4 5 6 7 8 9 10": ("T",),
    "1 2": ("A", "M"),
    "z": ("I", "N"),
}
_LEADS = {name.casefold(): name for name in (*TWELVE_LEADS, *_MORE_LEADS)}
_ALL = (r + p for places, rows in _PLACES.items() for r in rows for p in places.split())
_ELECTRODES = {name.casefold(): name for name in _ALL}
_REFERENCES = {"le": "LE", "ar": "AR", "avg": "AVG", "av": "AV"}
_ECG_WORDS = re.compile(r"(?:ecg|ekg|lead)[ _]+", re.IGNORECASE)
_EEG_WORDS = re.compile(r"eeg[ _]+", re.IGNORECASE)
_EINTHOVEN = re.compile(r" \((?:einthoven|goldberger|wilson)\)$", re.IGNORECASE)


def normalise_channel(name: str) -> str:
    """Return the usual spelling of a channel that is surely known, else the name as it is.

    ECG: the twelve leads, V7 to V9, V2R to V6R, Frank's Vx Vy Vz, modified leads (MLII), also after
    the words ECG, EKG or Lead. EEG: electrodes of the 10-20 and 10-10 systems, also after the word
    EEG; ``-Ref`` behind one is dropped, any other reference stays (``"Fp1-A2"``).

    Examples
    --------
    >>> [normalise_channel(name) for name in ("avr", "mlii", "FP1", "EEG Fp1-Ref", "PLETH")]
    ['aVR', 'MLII', 'Fp1', 'Fp1', 'PLETH']
    """
    plain = name.strip()
    lead = _LEADS.get(_EINTHOVEN.sub("", _ECG_WORDS.sub("", plain, count=1)).casefold())
    if lead is not None:
        return lead
    return _electrode(_EEG_WORDS.sub("", plain, count=1)) or plain


def _electrode(name: str) -> str | None:
    """Return one electrode or a pair of them, None where either is not known."""
    first, _, second = (part.strip().casefold() for part in name.partition("-"))
    known = _ELECTRODES.get(first)
    if known is None or second in ("", "ref"):
        return known
    other = _ELECTRODES.get(second) or _REFERENCES.get(second)
    return None if other is None else f"{known}-{other}"


def kind_of_channel(name: str) -> Literal["ecg", "eeg", "other"]:
    """Return what a channel is by its name, ``"other"`` where the name does not tell.

    Examples
    --------
    >>> kind_of_channel("V5"), kind_of_channel("Fp1-A2"), kind_of_channel("PLETH")
    ('ecg', 'eeg', 'other')
    """
    plain = normalise_channel(name)
    if plain in _LEADS.values():
        return "ecg"
    return "eeg" if _electrode(plain) is not None else "other"


def normalise_names(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a recording in their usual spelling, and a note on those that changed.

    Two channels that would get one name keep the names that they have.

    Examples
    --------
    >>> normalise_names(["avr", "V5"])
    (('aVR', 'V5'), ('Channels renamed: avr is aVR.',))
    """
    new = [normalise_channel(name) for name in names]
    kept = [
        b if new.count(b) == 1 and b not in _others(names, n) else a
        for n, (a, b) in enumerate(zip(names, new, strict=True))
    ]
    changed = [f"{a} is {b}" for a, b in zip(names, kept, strict=True) if a != b]
    notes = (f"Channels renamed: {', '.join(changed)}.",) if changed else ()
    return tuple(kept), notes


def _others(names: Sequence[str], place: int) -> set[str]:
    return {name for n, name in enumerate(names) if n != place}
