"""What a preparation has so far: rows of the table, counts, and what was left out."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from medconsist.errors import RefusedInputError
from medconsist.timeseries.harmonise import CommonLeads
from medconsist.timeseries.labelled import LabelledRecording, combined
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.prepared_record import Dropped, Flat, PatientCount, PreparedFacts
from medconsist.timeseries.processing import Pieces
from medconsist.timeseries.window_set import WindowTable

__all__ = ["Gathered"]


class Gathered:
    """Rows of the table so far, with what was dropped.

    Parameters
    ----------
    patients
        A recording of each.
    config
        How windows are made.

    Examples
    --------
    >>> Gathered({}, PrepareConfig(rate=100.0, samples=9, classes=("case",))).inputs[:8]
    '4f53cda1'
    """

    def __init__(self, patients: dict[str, LabelledRecording], config: PrepareConfig) -> None:
        self._patients = patients
        self._config = config
        self._rows: list[tuple[str, npt.NDArray[np.int64]]] = []  # one entry a trial
        self._trials: list[str] = []
        self._digests: list[str] = []
        self._dropped: list[Dropped] = []
        self._flat: list[Flat] = []
        self._notes: list[str] = []
        self._recordings: Counter[str] = Counter()
        self._windows: Counter[str] = Counter()

    def add(self, item: LabelledRecording, pieces: Pieces, digest: str) -> None:
        """Take the windows of the next recording, and the digest of its samples."""
        cut = pieces.cut
        self._digests.append(digest)
        self._recordings[item.patient] += 1
        self._windows[item.patient] += len(cut)
        self._notes += cut.notes
        self._dropped += [
            Dropped(patient=item.patient, trial=item.trial, reason=reason, pieces=count)
            for reason, count in cut.dropped.items()
        ]
        if pieces.flat:
            flat = Flat(patient=item.patient, trial=item.trial, channels=pieces.flat)
            self._flat.append(flat)
        in_parts = self._config.beats_a_trial is not None
        for part in np.unique(cut.part).tolist():
            self._rows.append((item.patient, cut.start[cut.part == part]))
            self._trials.append(f"{item.trial}/{part}" if in_parts else item.trial)

    @property
    def inputs(self) -> str:
        """Fingerprint of the recordings so far."""
        return combined(self._digests)

    def refuse_empty(self) -> None:
        """Refuse to go on without any window; says what was left out."""
        if self._rows:
            return
        reasons: Counter[str] = Counter()
        for row in self._dropped:
            reasons[row.reason] += row.pieces
        still = sorted({name for flat in self._flat for name in flat.channels})
        which = f" Without any variation, or missing throughout: {still[:20]}." if still else ""
        msg = (
            f"no window is left of {len(self._digests)} recordings; left out: {dict(reasons)}."
            f"{which} Take shorter windows, other leads or other recordings."
        )
        raise RefusedInputError(msg)

    def table(self) -> WindowTable:
        """Return whose each window is; patients without a window are not in it."""
        kept = [name for name in self._patients if self._windows[name]]
        number = {name: place for place, name in enumerate(kept)}
        label = {name: self._config.number_of(self._patients[name].label) for name in kept}
        lengths = [len(starts) for _, starts in self._rows]

        def column(values: list[int]) -> npt.NDArray[np.int64]:
            return np.repeat(np.array(values, np.int64), lengths)

        return WindowTable(
            patient=column([number[name] for name, _ in self._rows]),
            trial=column(list(range(len(self._rows)))),
            start=np.concatenate([starts for _, starts in self._rows]),
            label=column([label[name] for name, _ in self._rows]),
            patients=tuple(kept),
            classes=self._config.classes,
            sites=tuple(self._patients[name].site for name in kept),
        )

    def facts(self, after: CommonLeads) -> PreparedFacts:
        """Return all that is known, for windows of these channels and units."""
        counts = [
            PatientCount(
                patient=name,
                label=item.label,
                site=item.site,
                recordings=self._recordings[name],
                windows=self._windows[name],
            )
            for name, item in self._patients.items()
        ]
        return PreparedFacts(
            inputs=self.inputs,
            settings=self._config,
            channels=after.channels,
            units=after.units,
            windows=sum(self._windows.values()),
            patients=tuple(counts),
            trials=tuple(self._trials),
            dropped=tuple(self._dropped),
            flat=tuple(self._flat),
            notes=tuple(dict.fromkeys(self._notes)),
        )
