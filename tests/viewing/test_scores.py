"""Every score that a task writes has a plain name on the screen."""

from pathlib import Path

import torch

from medconsist.mri.evidence.residual import GroupResidual
from medconsist.mri.evidence.trust_scores import map_scores, residual_score, withheld_scores
from medconsist.mri.evidence.withheld import WithheldError
from medconsist.results.trust import Score
from medconsist.viewing.alarm_rates import measured_rates
from medconsist.viewing.numbers import plain_name
from medconsist.viewing.scores import score_title
from tests.viewing.signals import predict_signals
from tests.viewing.slides import embed_small, predict_small


def of_a_scan() -> list[Score]:
    error = WithheldError(chi_square=1.2, nrmse=0.1, nrmse_floor=0.1, noise_corrected=0.0, n=9)
    groups = ("all", "coil_0", "band_4")
    image = torch.ones(1, 8, 8, dtype=torch.complex64)
    names = ("not_determined", "refutable_contrast", "matched_filter")
    return [
        *withheld_scores([error]),
        *withheld_scores([error, error], of="cirim"),
        *(
            residual_score(GroupResidual(name=name, chi_square=1.0, expectation=1.0, n=9))
            for name in groups
        ),
        *map_scores(image, {name: torch.ones(1, 8, 8) for name in names}),
    ]


def test_every_score_of_a_task_has_a_name_of_its_own_in_plain_words(tmp_path: Path) -> None:
    found = {score.name for score in of_a_scan()}
    slides = tmp_path / "slides"
    found |= {score.name for score in embed_small(slides).result.trust.scores}
    found |= {score.name for score in predict_small(slides, patients=4).result.trust.scores}
    found |= {score.name for score in predict_signals(tmp_path).result.trust.scores}
    assert {"tissue_area", "hidden_spread", "half_gap", "residual_band_4"} <= found
    found |= {rate.score for rate in measured_rates().rates if rate.score}
    titles = {name: score_title(name) for name in found}
    assert not {name for name, title in titles.items() if title == plain_name(name)}
    assert not {title for title in titles.values() if "_" in title or title[0].islower()}
    assert len(set(titles.values())) == len(titles)


def test_a_draw_and_another_image_stand_in_the_name() -> None:
    assert score_title("withheld_error_cirim_1") == "Error on withheld samples, of CIRIM, draw 1"
    assert score_title("withheld_nrmse_0") == "Withheld error as share of the signal, draw 0"
    for unforeseen in ("my_own_score", "residual_chi2", "residual_of_mine_3"):
        assert score_title(unforeseen) == plain_name(unforeseen)
