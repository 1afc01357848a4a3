"""Many cases one after the other: what cannot be predicted is named, and the rest goes on."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medconsist import RESEARCH_USE_ONLY
from medconsist._atomic import atomic_write_bytes, make_folder
from medconsist._digests import sha256_of_path
from medconsist.errors import MedconsistError, MissingInputError, RefusedInputError
from medconsist.results.alarm import alarms_beside
from medconsist.results.cases import Outcome
from medconsist.results.store import ResultStore
from medconsist.wsi.bags.bag_file import read_bag_facts
from medconsist.wsi.bags.bag_store import BagEntry, bags_of, only_current
from medconsist.wsi.mil.card import SpaceRecord
from medconsist.wsi.mil.maps import MEANINGS, TileValues
from medconsist.wsi.mil.predict import CaseJob, by_tile, predict_case
from medconsist.wsi.mil.predictor import Predictor

__all__ = ["PredictedStudy", "RefusedCase", "predict_all", "study_jobs"]

_PARTIAL = 3
_DOUBTS = ("Cannot assess", "No maps")


@dataclass(frozen=True)
class RefusedCase:
    """A case that could not be predicted.

    Parameters
    ----------
    case
        Its id.
    reason
        Class of the error.
    sentence
        What was found, and what to do.

    Examples
    --------
    >>> RefusedCase("c1", "unsupported", "It has another encoder.").case
    'c1'
    """

    case: str
    reason: str
    sentence: str


@dataclass(frozen=True)
class PredictedStudy:
    """What became of the cases of a study, in their order, and the alarms of its history.

    Examples
    --------
    >>> PredictedStudy((), ()).exit_code
    0
    """

    outcomes: tuple[Outcome, ...]
    refused: tuple[RefusedCase, ...]
    alarms: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if all are done, else 3."""
        return _PARTIAL if self.refused else 0

    @property
    def text(self) -> str:
        """One line a slide, and one a refused case."""
        lines = [RESEARCH_USE_ONLY]
        for one in self.outcomes:
            result = one.stored.result
            said = ", ".join(f"{m.name} {m.value:.3f}" for m in result.metrics)
            doubts = [note for note in result.notes if note.startswith(_DOUBTS)]
            done = "" if one.fresh else " (done before)"
            lines.append(f"{result.case} / {result.item}: {said}{done}")
            lines += [f"  {doubt}" for doubt in doubts]
            lines.append(f"  {one.stored.folder.path}")
        lines += [f"{one.case}: {one.reason}: {one.sentence}" for one in self.refused]
        lines += [f"History: {sentence}" for sentence in self.alarms]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "predicted": [
                {
                    "case": one.stored.result.case,
                    "slide": one.stored.result.item,
                    "key": one.stored.result.key,
                    "folder": str(one.stored.folder.path),
                    "fresh": one.fresh,
                    "metrics": {m.name: m.value for m in one.stored.result.metrics},
                    "notes": list(one.stored.result.notes),
                }
                for one in self.outcomes
            ],
            "refused": [vars(one) for one in self.refused],
            "alarms": list(self.alarms),
        }


def study_jobs(
    root: Path,
    study: str,
    *,
    predictor: Predictor,
    cases: Sequence[str] = (),
    slides: Sequence[Path] = (),
    seed: int = 0,
) -> list[CaseJob]:
    """Return one job for each case of a study, with the bags that the model takes.

    Parameters
    ----------
    root, study
        Where the bags lie, and the results go.
    predictor
        The model; of a slide that was embedded several ways its way is taken.
    cases
        Only these; none: all.
    slides
        Slide files of the study, told by their sha256.
    seed
        Of the hidden repeats.

    Raises
    ------
    MissingInputError
        There is no bag of the model's encoder, a named case has none, or a slide file is not there.
    RefusedInputError
        A slide file is none of those that were embedded.
    """
    known = _known(slides)
    stored = bags_of(root, study)
    _refuse_strangers(known, stored, study=f"study {study} in {root}")
    entries = [one for one in stored if not {"encoder", "dim"} & set(_unlike(one, predictor))]
    exact = {(one.case, one.slide) for one in entries if not _unlike(one, predictor)}
    fitting = [
        one for one in entries if (one.case, one.slide) not in exact or not _unlike(one, predictor)
    ]
    grouped = defaultdict[str, list[BagEntry]](list)
    for entry in only_current(fitting, ResultStore(root, study)):
        grouped[entry.case].append(entry)
    _refuse_unknown(cases, grouped, study=f"study {study} in {root}", space=predictor.card.space)
    return [
        CaseJob(
            out=root,
            study=study,
            entries=grouped[case],
            predictor=predictor,
            slides=known,
            seed=seed,
        )
        for case in dict.fromkeys(cases or sorted(grouped))
    ]


def predict_all(jobs: Sequence[CaseJob], *, table: Path | None = None) -> PredictedStudy:
    """Predict cases one after the other; one that is refused keeps none of the others.

    Parameters
    ----------
    jobs
        From `study_jobs`.
    table
        Folder for one CSV a slide, ``CASE/SLIDE.csv``; None writes none.

    Raises
    ------
    StorageError
        A table could not be written.
    """
    outcomes, refused = list[Outcome](), list[RefusedCase]()
    for job in jobs:
        try:
            done = predict_case(job)
        except MedconsistError as error:
            refused.append(RefusedCase(job.case, error.reason, str(error)))
            continue
        outcomes += done
        if table is not None:
            for entry, one in zip(job.entries, done, strict=True):
                _write_table(table / job.case, entry, one)
    alarms = tuple[str, ...]()
    if outcomes:
        history = ResultStore(jobs[0].out, jobs[0].study).history
        alarms = alarms_beside(history.read().lines, outcomes[-1].stored.result)
    return PredictedStudy(tuple(outcomes), tuple(refused), alarms)


def _unlike(entry: BagEntry, predictor: Predictor) -> Iterable[str]:
    """Return what of a bag is not what the model takes."""
    try:
        facts = read_bag_facts(entry.path)
    except MedconsistError:
        return ()  # it is said when its case is predicted, and the others go on
    return predictor.card.space.unlike(facts.header, entry.shape[1])


def _known(slides: Sequence[Path]) -> dict[str, Path]:
    """Return the slide files by their sha256."""
    for path in slides:
        if not path.exists():
            msg = f"the slide {path} is not there; give a file that was embedded, or none."
            raise MissingInputError(msg)
    return {sha256_of_path(path.resolve()): path.absolute() for path in slides}


def _refuse_strangers(
    known: Mapping[str, Path], entries: Sequence[BagEntry], *, study: str
) -> None:
    embedded = {entry.stored.result.inputs.get("slide") for entry in entries}
    strangers = [path for digest, path in known.items() if digest not in embedded]
    if strangers:
        msg = (
            f"{strangers[0]} is none of the slides that were embedded in {study} "
            f"({len(strangers)} of {len(known)} files); give the very files."
        )
        raise RefusedInputError(msg)


def _refuse_unknown(
    cases: Sequence[str], grouped: dict[str, list[BagEntry]], *, study: str, space: SpaceRecord
) -> None:
    unknown = sorted(set(cases) - set(grouped))
    if unknown or not grouped:
        kind = (
            f"length {space.dim}" if space.encoder is None else f"the encoder {space.encoder.name}"
        )
        which = f"case {', '.join(unknown[:3])}" if unknown else "any case"
        msg = (
            f"{study} has no features of {kind} for {which} ({len(grouped)} cases have them). "
            "Embed the slides first, as for training."
        )
        raise MissingInputError(msg)


def _write_table(folder: Path, entry: BagEntry, outcome: Outcome) -> None:
    """Write a row for each tile: its place on the slide, and what the maps say of it."""
    stored = outcome.stored
    values = {
        name: stored.array(by_tile(name)) for name in MEANINGS if by_tile(name) in stored.roles()
    }
    rows = TileValues(entry.open(verify=False), values).table()
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    make_folder(folder)
    atomic_write_bytes(folder / f"{entry.slide}.csv", text.getvalue().encode())
