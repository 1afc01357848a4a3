"""A published split is run again with its own patients and labels, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.manifests.published_split import PublishedSplit
from medconsist.timeseries.audit.across import parts_of_round, patients_apart
from medconsist.timeseries.evaluation.candidate import Probed
from medconsist.timeseries.evaluation.fixed import GivenFeatures
from medconsist.timeseries.evaluation.judge import Contrast, JudgeSettings, judge
from medconsist.timeseries.evaluation.majority import Majority
from medconsist.timeseries.evaluation.probes import NaiveBayesProbe
from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
from medconsist.timeseries.evaluation.rounds_file import read_rounds, write_rounds
from medconsist.timeseries.labelled import labelled_recordings
from medconsist.timeseries.prepare import prepare
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.prepared import read_prepared
from medconsist.timeseries.published_splits import published_rounds, published_split
from medconsist.timeseries.readers.choice import open_dataset
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.window_set import WindowSet, WindowTable

SPLITS = [("ad-apava", "comet"), ("ad-apava", "medformer"), ("ptb", "comet"), ("tdbrain", "comet")]
FEW = JudgeSettings(permutations=2)


def windows_of(split: PublishedSplit, *, each: int = 2, slipped: int = 0) -> WindowSet:
    """As many windows for each patient of a data set, with the published labels."""
    ids = sorted({*split.train, *split.validation, *split.test, *split.unused})
    labels = np.roll([int(number in split.positive) for number in ids], slipped)
    patient = np.repeat(np.arange(len(ids)), each)
    table = WindowTable(
        patient=patient,
        trial=np.arange(len(patient)),
        start=np.zeros(len(patient), np.int64),
        label=labels.astype(np.int64)[patient],
        patients=tuple(map(str, ids)),
        classes=("0", "1"),
        sites=(None,) * len(ids),
    )
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((len(patient), 4, 1)) + labels[patient][:, None, None]
    return WindowSet(
        signals.astype(np.float32), table, rate=4.0, channels=("a",), units=(None,), fingerprint="f"
    )


@pytest.mark.parametrize(("dataset", "name"), SPLITS)
def test_nobody_crosses_and_all_are_where_they_were_published(dataset: str, name: str) -> None:
    split = published_split(dataset, name)
    windows = windows_of(split)
    one = published_rounds(split, windows.table).rounds[0]
    assert (one.train, one.validation, one.test) == tuple(
        split.part(part) for part in ("train", "validation", "test")
    )
    parts = parts_of_round(one, windows.table)
    assert patients_apart(windows.table, parts).passed
    assert {part: len(rows) for part, rows in parts.items()} == {
        part: 2 * len(split.part(part)) for part in ("train", "validation", "test")
    }


def test_windows_that_are_not_as_many_as_published_are_counted() -> None:
    split = published_split("ad-apava")
    notes = published_rounds(split, windows_of(split).table).notes
    assert notes[-1] == (
        "Windows are not as many as published: train 38 (published 4329), validation 4 "
        "(published 891), test 4 (published 747)."
    )
    own = PublishedSplit(
        name="they", source="", verified=True, train=(1, 3), test=(2, 4), positive=(2, 3),
        windows={"train": 4, "test": 4},
    )  # fmt: skip
    assert len(published_rounds(own, windows_of(own).table).notes) == 1


def test_the_rounds_are_frozen_and_judged(tmp_path: Path) -> None:
    split = published_split("tdbrain")
    windows = windows_of(split)
    path = tmp_path / "rounds.json"
    write_rounds(published_rounds(split, windows.table, fingerprint=windows.fingerprint), path)
    rounds = read_rounds(path, windows.table)
    report = judge(
        windows, [Majority(), Probed(GivenFeatures("values"), NaiveBayesProbe())], rounds, FEW
    )
    majority, naive = (row.figures["accuracy"] for row in report.rows)
    assert majority.mean == 0.5  # 4 + 4 patients are judged
    assert naive.mean > 0.5
    assert (naive.ci_low, naive.n) == (None, 8)
    assert any("says nothing of other patients" in line for line in report.sentences)
    assert any("split comet: patients 34 train" in line for line in report.sentences)


def test_one_split_is_no_contrast_of_two_methods() -> None:
    split = published_split("ad-apava")
    windows = windows_of(split)
    settings = JudgeSettings(permutations=2, contrast=Contrast(first="a", second="b"))
    with pytest.raises(RefusedInputError, match="cannot tell two methods apart"):
        judge(windows, [Majority()], published_rounds(split, windows.table), settings)


def test_given_rounds_are_not_dealt() -> None:
    table = windows_of(published_split("ad-apava")).table
    with pytest.raises(RefusedInputError, match="'given' are not dealt here; take folds or pairs"):
        make_rounds(table, RoundsPlan(kind="given"))


def test_other_patients_than_published_are_refused() -> None:
    split = published_split("ad-apava")
    with pytest.raises(RefusedInputError, match=r"175 patients with windows are not of it"):
        published_rounds(split, windows_of(published_split("ptb")).table)
    with pytest.raises(RefusedInputError, match=r"175 of its patients have no windows \['24', "):
        published_rounds(published_split("ptb"), windows_of(split).table)


def test_labels_that_slipped_by_a_patient_are_refused() -> None:
    split = published_split("ad-apava")
    with pytest.raises(RefusedInputError, match="look whether labels have slipped by a patient"):
        published_rounds(split, windows_of(split, slipped=1).table)


def test_patients_who_were_saved_and_not_used_may_lack() -> None:
    split = published_split("tdbrain")
    used = windows_of(split.model_copy(update={"unused": ()}))
    assert len(published_rounds(split, used.table).rounds[0].train) == 34


def test_a_folder_as_released_gives_the_published_counts(tmp_path: Path) -> None:
    # COMET's AD: the trials that each patient has, 9 windows a trial; samples are simulated.
    trials = [35, 25, 10, 33, 1, 22, 3, 32, 18, 38, 47, 37, 29, 39, 46, 28, 59, 40, 46, 37, 19]
    trials += [17, 2]
    split = published_split("ad-apava")
    features, labels = tmp_path / "AD" / "Feature", tmp_path / "AD" / "Label"
    features.mkdir(parents=True)
    labels.mkdir()
    rng = np.random.default_rng(0)
    for number, count in enumerate(trials, 1):
        np.save(features / f"feature_{number:02d}.npy", rng.standard_normal((count, 40, 2)))
    table = [[number in split.positive, number] for number in range(1, 24)]
    np.save(labels / "label.npy", np.array(table, np.float64))
    recordings = labelled_recordings(
        open_dataset(tmp_path / "AD", options=ReadOptions(rate=8.0, unit="uV"))
    )
    config = PrepareConfig(rate=8.0, samples=8, overlap=4, classes=("0", "1"))
    prepare(recordings, tmp_path / "out", config=config)
    windows = read_prepared(tmp_path / "out")
    rounds = published_rounds(split, windows.table, fingerprint=windows.fingerprint)
    assert len(rounds.notes) == 1
