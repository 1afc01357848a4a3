"""What a model takes: how recordings become its windows, and the refusal of all others."""

from typing import Literal

from medconsist._records import Record
from medconsist.errors import RefusedInputError
from medconsist.timeseries.montage import montage_named
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.prepared_record import PreparedFacts
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS
from medconsist.timeseries.window_set import WindowSet

__all__ = ["Preparation"]


class Preparation(Record):
    """What a model takes: how recordings become its windows.

    Parameters
    ----------
    settings
        Rate, length, filter, montage, normalisation and classes.
    leads
        Names of the leads that a recording must have, before any montage.
    channels, units
        Of the windows; a unit is None where the model knows none, as after z-scoring.
    modality
        By which signal quality is judged.

    Examples
    --------
    >>> settings = PrepareConfig(rate=256.0, samples=256, classes=("control", "case"))
    >>> Preparation(settings=settings, leads=("Cz",), channels=("Cz",), units=(None,),
    ...             modality="eeg").seconds
    1.0
    """

    settings: PrepareConfig
    leads: tuple[str, ...]
    channels: tuple[str, ...]
    units: tuple[str | None, ...]
    modality: Literal["ecg", "eeg"]

    @property
    def seconds(self) -> float:
        """Length of a window."""
        return self.settings.seconds

    @property
    def has_units(self) -> bool:
        """Whether amplitudes mean something to the model."""
        return any(unit is not None for unit in self.units)

    @staticmethod
    def of(facts: PreparedFacts) -> "Preparation":
        """Return the preparation of a prepared folder (``read_prepared_record(folder).facts``).

        Raises
        ------
        RefusedInputError
            A montage of leads that the settings do not name.
        """
        settings = facts.settings
        leads = settings.channels or facts.channels
        if settings.montage is not None and settings.channels is None:
            msg = (
                f"the windows are in the montage {settings.montage!r} of leads that their "
                "preparation does not name; prepare them again with channels."
            )
            raise RefusedInputError(msg)
        return _preparation(settings, leads, facts.channels, facts.units)

    @staticmethod
    def of_windows(windows: WindowSet, settings: PrepareConfig) -> "Preparation":
        """Return the preparation of windows that were made otherwise, such as simulated ones.

        Raises
        ------
        RefusedInputError
            The settings are of another rate, length or list of classes.
        """
        leads = settings.channels or windows.channels
        found = _preparation(settings, leads, windows.channels, windows.units)
        found.require(windows)
        return found

    def require(self, windows: WindowSet) -> None:
        """Refuse windows of another preparation.

        Raises
        ------
        RefusedInputError
            Names what differs.
        """
        settings = self.settings
        mine = {
            "rate [Hz]": float(settings.rate),
            "samples a window": settings.samples,
            "channels": self.channels,
            "units": self.units,
            "classes": settings.classes,
        }
        theirs = {
            "rate [Hz]": float(windows.rate),
            "samples a window": windows.samples,
            "channels": windows.channels,
            "units": windows.units,
            "classes": windows.table.classes,
        }
        _refuse_unlike(mine, theirs)

    def require_same(self, other: "Preparation") -> None:
        """Refuse windows that another preparation made, down to filter and normalisation.

        Raises
        ------
        RefusedInputError
            Names what differs.
        """
        mine, theirs = self.model_dump(), other.model_dump()
        _refuse_unlike(mine.pop("settings") | mine, theirs.pop("settings") | theirs)


def _preparation(
    settings: PrepareConfig,
    leads: tuple[str, ...],
    channels: tuple[str, ...],
    units: tuple[str | None, ...],
) -> Preparation:
    if settings.montage is not None:
        leads = montage_named(settings.montage, leads).inputs
    heart = sum(name in TWELVE_LEADS for name in leads) * 2 > len(leads)
    return Preparation(
        settings=settings,
        leads=leads,
        channels=channels,
        units=units,
        modality="ecg" if heart else "eeg",
    )


def _refuse_unlike(mine: dict[str, object], theirs: dict[str, object]) -> None:
    for name, value in mine.items():
        if theirs[name] != value:
            msg = (
                f"the windows were prepared otherwise than those of the model: {name} is "
                f"{_short(theirs[name])}, the model's {_short(value)}. Prepare them as the model's "
                "card says, or give the recordings themselves."
            )
            raise RefusedInputError(msg)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
