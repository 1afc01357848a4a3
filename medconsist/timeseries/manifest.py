"""Recordings of a manifest with their labels, opened and not kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from medconsist.errors import MedconsistError
from medconsist.manifests.case_facts import case_facts
from medconsist.manifests.case_manifest import read_case_manifest
from medconsist.manifests.cases import CaseRow
from medconsist.timeseries.labelled import LabelledRecording
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.recording import Recording

__all__ = ["recordings_of_manifest"]


def recordings_of_manifest(
    path: Path, *, label: str = "label", options: ReadOptions | None = None
) -> list[LabelledRecording]:
    """Return one recording for each row; its item is the trial.

    Each file is opened twice, for what its header says and when its samples are read, and none is
    kept: formats that are read whole (CSV, MAT, DICOM) would fill the memory. Where a patient has
    several cases, a trial is ``case/item``, as two cases may have an item of one name.

    Parameters
    ----------
    path
        Of the manifest.
    label
        Column of the labels: ``label``, or one of the user's own (``x_...``).
    options
        What the files do not say.

    Raises
    ------
    RefusedInputError
        The manifest is not sound, a case has two labels, or there is no such column.
    MedconsistError
        As `open_recording`; names the row.
    """
    rows = read_case_manifest(path).rows
    labels = {facts.case: facts.label for facts in case_facts(rows, label=label)}
    # Opening looks for flat leads, too; those of the windows are found when they are prepared.
    how = replace(options or ReadOptions(), look_values=0)
    return [
        LabelledRecording(
            patient=row.patient,
            trial=_trial(row),
            label=labels[row.case],
            site=row.site,
            recording=_OfRow(row, how, manifest=path.name),
        )
        for row in rows
    ]


class _OfRow(Recording):
    """The file of a row, opened anew when its samples are asked for."""

    def __init__(self, row: CaseRow, options: ReadOptions, *, manifest: str) -> None:
        self._row, self._options, self._manifest = row, options, manifest
        with self._named():
            super().__init__(open_recording(row.path, options=options).info)

    def read(
        self, start: int = 0, stop: int | None = None
    ) -> Float32[npt.NDArray[np.float32], "time channels"]:
        """Return samples as the reader of its format does."""
        span = self._span(start, stop)
        with self._named():
            return open_recording(self._row.path, options=self._options).read(span.start, span.stop)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except MedconsistError as error:
            msg = f"{self._manifest}, row {self._row.row}: {error}"
            raise type(error)(msg) from error


def _trial(row: CaseRow) -> str:
    alone = row.case in (row.patient, row.item)
    return row.item if alone else f"{row.case}/{row.item}"
