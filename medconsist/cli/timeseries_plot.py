"""``medconsist ts plot``: a recording on paper, to true scale."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Common
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.timeseries.recording import Recording

__all__ = ["Plot"]


@dataclass(frozen=True, kw_only=True)
class Plot(Common):
    """Draw a recording as a page of SVG on which a millimetre is a millimetre.

    An ECG of twelve leads is drawn at 25 mm/s and 10 mm/mV, anything else channel below channel at
    30 mm/s and 7 uV/mm, negative up. Without a known unit there is no voltage scale, and the page
    says so. Nothing of the patient is printed. The samples are drawn as they are, unfiltered.
    """

    recording: Annotated[Positional[Path], arg(metavar="RECORDING")]
    """WFDB header, EDF, BDF, CSV, MAT, NPY, DICOM, HDF5 or Zarr."""
    out: Path
    """File to write, ending in .svg."""
    page: Literal["auto", "ecg", "eeg"] = "auto"
    """Kind of page; auto is ecg where one of the twelve leads is there."""
    start: float = 0.0
    """First second shown."""
    seconds: float | None = None
    """Seconds shown, of eeg; 10 by default. A page of ecg has its own."""
    speed: float | None = None
    """Millimetres a second; of ecg 12.5, 25 or 50."""
    gain: float | None = None
    """Of ecg: 5, 10 or 20 mm/mV."""
    sensitivity: float | None = None
    """Of eeg: microvolts a millimetre."""
    montage: str | None = None
    """Of eeg, e.g. average, cz, double-banana; by default as recorded."""
    source_rate: float | None = None
    """Samples a second of a file that does not say them."""
    source_unit: str | None = None
    """Unit of channels to which the file gives none, e.g. mV."""
    source_group: int | None = None
    """Multiplex group of a DICOM file that holds several, from 0."""

    def run(self) -> int:
        """Draw, and print the path."""
        self.set_up()
        from medconsist._atomic import atomic_write_bytes, make_folder

        if self.out.suffix.lower() != ".svg":
            msg = f"--out must end in .svg, got {self.out.name}."
            raise RefusedInputError(msg)
        drawn = self._drawn(self._recording())
        make_folder(self.out.parent)
        atomic_write_bytes(self.out, drawn.encode())
        path = str(self.out)
        sys.stdout.write((json.dumps({"path": path}) if self.json else path) + "\n")
        return 0

    def _recording(self) -> "Recording":
        from medconsist.timeseries.readers.choice import open_recording
        from medconsist.timeseries.readers.options import ReadOptions

        options = ReadOptions(rate=self.source_rate, unit=self.source_unit, group=self.source_group)
        return open_recording(self.recording, options=options)

    def _drawn(self, recording: "Recording") -> str:
        from medconsist.timeseries.readers.channel_names import TWELVE_LEADS, normalise_channel

        names = {normalise_channel(name) for name in recording.info.channels}
        kind = self.page
        if kind == "auto":
            kind = "ecg" if names & set(TWELVE_LEADS) else "eeg"
        return self._ecg(recording) if kind == "ecg" else self._eeg(recording)

    def _ecg(self, recording: "Recording") -> str:
        from medconsist.viewing.ecg_paper import Paper, ecg_paper

        self._refuse("ecg", seconds=self.seconds, sensitivity=self.sensitivity)
        self._refuse("ecg", montage=self.montage)
        given: dict[str, Any] = {"speed": self.speed, "gain": self.gain}
        paper = replace(
            Paper(start_s=self.start), **{k: v for k, v in given.items() if v is not None}
        )
        return ecg_paper(recording, paper=paper)

    def _eeg(self, recording: "Recording") -> str:
        from medconsist.timeseries.montage import in_montage, montage_named
        from medconsist.viewing.eeg_page import EegSheet, eeg_page

        self._refuse("eeg", gain=self.gain)
        given: dict[str, Any] = {
            "speed": self.speed,
            "sensitivity": self.sensitivity,
            "seconds": self.seconds,
        }
        sheet = EegSheet(start_s=self.start, montage=self.montage or "as recorded")
        sheet = replace(sheet, **{k: v for k, v in given.items() if v is not None})
        if self.montage is not None:
            recording = in_montage(recording, montage_named(self.montage, recording.info.channels))
        return eeg_page(recording, sheet=sheet)

    @staticmethod
    def _refuse(page: str, **given: object) -> None:
        wrong = [f"--{name}" for name, value in given.items() if value is not None]
        if wrong:
            msg = f"a page of {page} takes no {' and no '.join(wrong)}; leave it out."
            raise RefusedInputError(msg)
