"""Many cases one after the other: what cannot be predicted is named, and the rest goes on."""

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medconsist import RESEARCH_USE_ONLY
from medconsist._atomic import atomic_write_bytes, make_folder
from medconsist._digests import sha256_of_path
from medconsist.errors import MedconsistError, MissingInputError
from medconsist.results.cases import Outcome
from medconsist.wsi.bags.bag_file import read_bag_facts
from medconsist.wsi.bags.bag_store import BagEntry, current_bags
from medconsist.wsi.mil.maps import MEANINGS, TileValues
from medconsist.wsi.mil.predict import CaseJob, by_tile, predict_case
from medconsist.wsi.mil.training_run import load_predictor

__all__ = ["PredictedStudy", "RefusedCase", "predict_study"]

_PARTIAL = 3


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
    """What became of the cases of a study, in their order.

    Examples
    --------
    >>> PredictedStudy((), ()).exit_code
    0
    """

    outcomes: tuple[Outcome, ...]
    refused: tuple[RefusedCase, ...]

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
            doubts = [note for note in result.notes if note.startswith("Cannot assess")]
            done = "" if one.fresh else " (done before)"
            lines.append(f"{result.case} / {result.item}: {said}{done}")
            lines += [f"  {doubt}" for doubt in doubts]
            lines.append(f"  {one.stored.folder.path}")
        lines += [f"{one.case}: {one.reason}: {one.sentence}" for one in self.refused]
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
        }


def predict_study(
    root: Path,
    study: str,
    *,
    model: Path,
    device: str = "cpu",
    cases: Sequence[str] = (),
    slides: Sequence[Path] = (),
    table: Path | None = None,
    seed: int = 0,
) -> PredictedStudy:
    """Predict the cases of a study.

    Parameters
    ----------
    root, study
        Where the bags lie, and the results go.
    model
        Folder of a finished training.
    device
        Of the network.
    cases
        Only these; none: all.
    slides
        Slide files, told by their sha256.
    table
        Folder for one CSV a slide; None writes none.
    seed
        Of the hidden repeats.

    Raises
    ------
    MissingInputError
        There is no model, no bag, or a named case is not there.
    """
    predictor = load_predictor(model, device=device)
    encoder = predictor.card.space.encoder
    grouped = defaultdict[str, list[BagEntry]](list)
    for entry in current_bags(root, study):
        if encoder is None or read_bag_facts(entry.path).header.encoder == encoder:
            grouped[entry.case].append(entry)
    unknown = sorted(set(cases) - set(grouped))
    if unknown or not grouped:
        msg = (
            f"study {study} in {root} has features of {len(grouped)} cases by this encoder, and "
            f"none of {unknown[:3]}. Embed their slides first."
        )
        raise MissingInputError(msg)
    known = {sha256_of_path(path): path for path in slides}
    outcomes, refused = list[Outcome](), list[RefusedCase]()
    for case in cases or sorted(grouped):
        job = CaseJob(
            out=root,
            study=study,
            entries=grouped[case],
            predictor=predictor,
            slides=known,
            seed=seed,
        )
        try:
            done = predict_case(job)
        except MedconsistError as error:
            refused.append(RefusedCase(case, error.reason, str(error)))
            continue
        outcomes += done
        if table is not None:
            for entry, one in zip(grouped[case], done, strict=True):
                _write_table(table, entry, one)
    return PredictedStudy(tuple(outcomes), tuple(refused))


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
    atomic_write_bytes(folder / f"{entry.case}-{entry.slide}.csv", text.getvalue().encode())
