"""What is claimed of a case stands in the words of its task, without the names of others."""

from pathlib import Path
from typing import Any

from medconsist.results.schema import Result
from medconsist.viewing.trust_claim import claim_of
from tests.viewing.conftest import REASON, network_second
from tests.viewing.signal_results import NOTES, write_signals
from tests.viewing.slides import embed_small, predict_small

WriteResult = Any


def test_a_scan_says_which_image_is_first_which_second_and_why(
    write_result: WriteResult, tmp_path: Path
) -> None:
    claim = claim_of(write_result(tmp_path, **network_second()))
    assert claim.title == "Image shown first"
    first = "Reconstruction: Compressed sensing. Second: CIRIM (simulation-trained)."
    assert claim.said == (first, REASON)
    plain: Result = write_result(tmp_path, "plain")
    assert claim_of(plain).said[-1] == "Made by: no model: classical method."


def test_a_prediction_of_signals_has_its_interval_and_no_name_of_another(tmp_path: Path) -> None:
    claim = claim_of(write_signals(tmp_path).result)
    assert claim.caption == "Probabilities of the patient"
    assert claim.rows[1] == ("case", "0.800", "0.610 to 0.930")
    assert len(claim.doubts) == 1
    assert "not how sure the model is" in claim.said[0]
    assert "secret" not in repr(claim)
    bare = write_signals(tmp_path, "bare", fields={"metrics": (), "notes": NOTES}).result
    assert "secret" not in repr(claim_of(bare))
    assert not claim_of(bare).rows


def test_one_trial_is_no_plural_and_a_stratum_no_word_of_a_reader(tmp_path: Path) -> None:
    notes = (
        "10 windows of 1 trials in 11 recordings.",
        "No interval over this patient's trials (only 1 units (trial) in a stratum: too narrow "
        "below 10).",
    )
    claim = claim_of(write_signals(tmp_path, fields={"notes": notes}).result)
    assert claim.facts == ("10 windows of 1 trial in 11 recordings.",)
    assert claim.said[0].endswith("(only 1 trial: too narrow below 10).")


def test_a_prediction_of_a_slide_keeps_every_note_and_features_claim_nothing(
    tmp_path: Path,
) -> None:
    features = embed_small(tmp_path).result
    assert "No prediction" in claim_of(features).said[0]
    result = predict_small(tmp_path, patients=4).result
    claim = claim_of(result)
    assert claim.title == "What the model says of the case"
    assert [row[0] for row in claim.rows] == ["normal", "tumour"]
    told = {*claim.doubts, *claim.facts}
    assert [note for note in result.notes if note not in told] == [
        note for note in result.notes if note.startswith("Probabilities of the case:")
    ]
