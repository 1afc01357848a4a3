"""What a caller knows of a file that the file does not say, and how much opening may read."""

import math
from dataclasses import dataclass

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.units import known_unit

__all__ = ["DEFAULT_OPTIONS", "ReadOptions"]


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What is given beside a file.

    Parameters
    ----------
    rate
        Samples per second; needed where the format has none. Of a file whose channels differ in
        rate (EDF, WFDB) it chooses the channels of that rate. Else it must agree with the file.
    unit
        Physical unit of channels to which the file gives none; written into the notes.
    channels
        Names of the columns of a bare NumPy array.
    patient, trial
        Opaque ids; by default the name of the file without suffix, or what our own formats hold.
    group
        Which multiplex group of a DICOM file, from 0; a file that holds several must be told.
    annotator
        Suffix of the WFDB annotation file that is read if it is there.
    budget_bytes
        Most bytes of formats that are read whole (CSV, MAT, DICOM, BDF).
    look_values
        Opening looks through at most so many values to note flat leads and missing samples; 0
        looks at none.

    Raises
    ------
    RefusedInputError
        A rate that is not positive, a unit that is not known, or a negative number.

    Examples
    --------
    >>> ReadOptions(rate=500, unit="mv").unit
    'mV'
    """

    rate: float | int | None = None
    unit: str | None = None
    channels: tuple[str, ...] | None = None
    patient: str | None = None
    trial: str | None = None
    group: int | None = None
    annotator: str = "atr"
    budget_bytes: int = 2**31
    look_values: int = 2**22

    def __post_init__(self) -> None:
        if self.rate is not None and not (self.rate > 0 and math.isfinite(self.rate)):
            msg = f"The rate {self.rate} was given; allowed: a positive number of samples a second."
            raise RefusedInputError(msg)
        if min(self.budget_bytes, self.look_values, self.group or 0) < 0:
            msg = "budget_bytes, look_values and group count from 0; a negative one was given."
            raise RefusedInputError(msg)
        if self.unit is not None:
            object.__setattr__(self, "unit", known_unit(self.unit))


DEFAULT_OPTIONS = ReadOptions()
