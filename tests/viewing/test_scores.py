from pathlib import Path
from typing import Any

from medconsist.results.trust import Score
from medconsist.viewing.scores import score_cards

WriteResult = Any


def test_a_score_shows_its_expectation_its_judgement_and_its_meaning(
    write_result: WriteResult, tmp_path: Path
) -> None:
    result = write_result(tmp_path)
    page = score_cards(result.trust.scores)
    assert "<strong>1.31 sigma^2</strong> expected 1 sigma^2, n = 392" in page
    assert "No history yet" in page
    assert "Outside the history of this site (p = 0.03, 40 cases)" in page
    assert "An alarm for coil faults and spikes, no image quality." in page


def test_a_hostile_score_cannot_leave_its_card() -> None:
    evil = Score(name="<script>", value=1.0, unit="<b>", n=1, meaning="<img src=x onerror=y>")
    page = score_cards([evil])
    assert "<script>" not in page
    assert "<img" not in page


def coil(number: int, **changes: Any) -> Score:
    fields = {"name": f"residual_coil_{number}", "value": 0.8, "unit": "sigma^2", "n": 9}
    return Score.model_validate(fields | {"meaning": "Misfit to the samples."} | changes)


def test_scores_of_one_meaning_share_a_card_and_the_parts_fold_away() -> None:
    page = score_cards([coil(number) for number in range(8)])
    assert page.count("<section") == page.count("Misfit to the samples.") == 1
    assert "<details><summary>7 parts" in page
    assert page.count("<tr>") == 8  # seven parts and the headings


def test_a_part_outside_its_history_is_never_folded_away() -> None:
    alarm = coil(3, state="outside", p=0.02, n_history=49, expectation=0.5)
    page = score_cards([coil(0), coil(1), alarm])
    assert "<details open>" in page
    assert "outside: residual coil 3" in page
    assert "outside, p = 0.02" in page
