"""``medconsist ts prepare``: recordings to windows of one length, rate and list of leads."""

import json
import logging
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Common
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.timeseries.filters import Band
    from medconsist.timeseries.labelled import LabelledRecording
    from medconsist.timeseries.prepare_config import PrepareConfig
    from medconsist.timeseries.prepared_record import PreparedRecord

__all__ = ["Prepare", "whole_samples"]

logger = logging.getLogger(__name__)

_TOLD = 20  # lines of progress at most, about
_SLACK = 1e-6  # samples: 0.1 s at 250 Hz is not exact in binary


@dataclass(frozen=True, kw_only=True)
class Prepare(Common):
    """Cut recordings into windows of one length, rate and list of leads, and record how.

    INPUT is a manifest (.csv, .parquet) with a row for each recording, or a folder in COMET's
    layout. OUT/prepared.json, written last, names every setting, what was left out and why, and the
    sha256 of the files; a second run compares and computes nothing.
    """

    source: Annotated[Positional[Path], arg(metavar="INPUT")]
    """Manifest, or folder in COMET's layout."""
    out: Path
    """Folder of the windows."""
    rate: float
    """Samples a second of the windows; no recording may have less."""
    seconds: float
    """Length of a window."""
    classes: tuple[str, ...]
    """Labels in the order of the classes; the last one is called positive."""
    label: Annotated[str, arg(metavar="COLUMN")] = "label"
    """Column of the labels in a manifest."""
    overlap: float = 0.0
    """Share of a window that the next one repeats, 0 to below 1."""
    channels: tuple[str, ...] = ()
    """Leads in this order; by default those of the first recording."""
    montage: str | None = None
    """Of EEG, e.g. average, cz, double-banana; after the choice of leads."""
    above: float | None = None
    """Corner of a zero-phase high-pass [Hz]."""
    below: float | None = None
    """Corner of a zero-phase low-pass [Hz], before resampling."""
    notch: tuple[float, ...] = ()
    """Frequencies that are cut out [Hz], such as 50 or 60."""
    resampling: Literal["filtered", "linear"] = "filtered"
    """Against aliasing, or by straight lines as COMET's notebooks, which aliases."""
    cut: Literal["windows", "beats", "released-beats"] = "windows"
    """On a grid, by R peaks that leads vote for, or as COMET's notebook cut PTB."""
    beats_a_trial: int | None = None
    """Of beats: consecutive ones that make a trial; 10 in COMET's data."""
    normalise: Literal["trial", "window", "none"] = "trial"
    """z-scores for each lead of a trial or window; none alone keeps amplitude and unit."""
    source_rate: float | None = None
    """Samples a second of files that do not say them."""
    source_unit: str | None = None
    """Unit of channels to which the files give none, e.g. mV."""
    source_group: int | None = None
    """Multiplex group of DICOM files that hold several, from 0; commonly 0 is the rhythm."""
    fingerprint: str | None = None
    """sha256 of the recordings as published; others are refused."""

    def run(self) -> int:
        """Prepare, and print what was made and what was left out."""
        self.set_up()
        from medconsist.timeseries.prepare import prepare

        config = self._config()
        record = prepare(
            self._recordings(),
            self.out,
            config=config,
            expected=self.fingerprint,
            progress=_progress,
        )
        sys.stdout.write(_said(self.out, record, as_json=self.json) + "\n")
        return 0

    def _config(self) -> "PrepareConfig":
        from medconsist.timeseries.prepare_config import PrepareConfig

        samples = whole_samples(self.rate * self.seconds, what="--rate times --seconds", least=1)
        if not 0 <= self.overlap < 1:
            msg = f"--overlap got {self.overlap}; allowed: a share of a window, 0 to below 1."
            raise RefusedInputError(msg)
        return PrepareConfig(
            rate=self.rate,
            samples=samples,
            classes=self.classes,
            overlap=whole_samples(self.overlap * samples, what="--overlap of a window", least=0),
            cut=self.cut,
            beats_a_trial=self.beats_a_trial,
            channels=self.channels or None,
            montage=self.montage,
            band=self._band(),
            resampling=self.resampling,
            normalise=self.normalise,
        )

    def _band(self) -> "Band | None":
        from medconsist.timeseries.filters import Band

        if self.above is None and self.below is None and not self.notch:
            return None
        return Band(above=self.above, below=self.below, notches=self.notch)

    def _recordings(self) -> "list[LabelledRecording]":
        from medconsist.timeseries.labelled import labelled_recordings
        from medconsist.timeseries.manifest import recordings_of_manifest
        from medconsist.timeseries.readers.choice import open_dataset
        from medconsist.timeseries.readers.numpy_file import is_comet
        from medconsist.timeseries.readers.options import ReadOptions

        options = ReadOptions(rate=self.source_rate, unit=self.source_unit, group=self.source_group)
        if self.source.is_dir():
            if not is_comet(self.source):
                msg = (
                    f"{self.source} is a folder without COMET's Feature and Label, and whose its "
                    f"files are is not said; make a manifest of it: medconsist manifest build "
                    f"{self.source} --kind recordings --out cases.csv"
                )
                raise RefusedInputError(msg)
            return labelled_recordings(open_dataset(self.source, options=options))
        return recordings_of_manifest(self.source, label=self.label, options=options)


def _progress(done: int, total: int) -> None:
    if done == total or done % max(total // _TOLD, 1) == 0:
        logger.info("recording %d of %d ...", done, total)


def whole_samples(value: float, *, what: str, least: int) -> int:
    """Return a number of samples; one that is not whole is refused and never rounded."""
    if not math.isfinite(value) or abs(value - round(value)) > _SLACK or round(value) < least:
        msg = (
            f"{what} is {value} samples; allowed: a whole number from {least}. Choose others that "
            "go up, e.g. --rate 256 --seconds 1 --overlap 0.5."
        )
        raise RefusedInputError(msg)
    return round(value)


def _said(folder: Path, record: "PreparedRecord", *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"path": str(folder), **record.model_dump(mode="json")})
    facts = record.facts
    told = [f"{folder}: {facts.windows} windows of {len(facts.patients)} patients."]
    told += [
        f"left out: {one.pieces} of {one.patient}, {one.trial}: {one.reason}"
        for one in facts.dropped
    ]
    told += facts.notes
    return "\n".join(told)
