"""What stands beside a prediction: its doubts apart from its facts, and nothing lost."""

from pathlib import Path

import pytest

from medconsist.results.store import StoredResult
from medconsist.timeseries.predict import KIND as SIGNALS
from medconsist.viewing.numbers import recording_rows
from medconsist.viewing.prediction_words import PREDICTIONS, prediction_words
from medconsist.wsi.mil.predict import KIND
from tests.viewing.signals import predict_signals
from tests.viewing.slides import embed_small, predict_small


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StoredResult]:
    root = tmp_path_factory.mktemp("words") / "results"
    return root, embed_small(root)


def test_the_kinds_are_those_of_the_jobs() -> None:
    assert PREDICTIONS == (KIND, SIGNALS)


def test_features_have_no_words_of_a_prediction(embedded: tuple[Path, StoredResult]) -> None:
    assert prediction_words(embedded[1].result) is None


def test_every_note_is_a_doubt_or_a_fact_or_the_table(embedded: tuple[Path, StoredResult]) -> None:
    result = predict_small(embedded[0], patients=4).result
    words = prediction_words(result)
    assert words is not None
    assert not words.can_assess
    assert words.shown == "tumour"
    assert all(doubt.startswith("Cannot assess: ") for doubt in words.doubts)
    assert sum(float(value) for _, value in words.probabilities) == pytest.approx(1, abs=0.002)
    left = [note for note in result.notes if note not in (*words.doubts, *words.facts)]
    assert [note.split(":")[0] for note in left] == ["Probabilities of the case"]
    assert any("0.400" in fact and "sensitivity 0.90" in fact for fact in words.facts)


def test_a_prediction_of_signals_loses_no_note_either(tmp_path: Path) -> None:
    result = predict_signals(tmp_path).result
    words = prediction_words(result)
    assert words is not None
    assert words.shown == "case"
    assert not words.can_assess
    assert sum(float(value) for _, value in words.probabilities) == pytest.approx(1, abs=0.002)
    left = [note for note in result.notes if note not in (*words.doubts, *words.facts)]
    assert [note.split(":")[0] for note in left] == ["Probabilities of the case"]
    assert any("over this patient's own" in fact.lower() for fact in words.facts)
    rows = recording_rows(result)
    assert [row[0] for row in rows] == ["0", "1"]
    assert all(row[1].startswith("I, II, V2 of ") for row in rows)
    assert {(row[2], row[3]) for row in rows} == {("4", "mV")}
