"""The probe is a logistic regression, and its area counts pairs within a slide."""

import pytest
import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.wsi.encoders.choice import make_encoder
from medconsist.wsi.encoders.encoder import Preprocessing
from medconsist.wsi.simclr.probe import auc_by_slide, embed_pool, linear_probe
from tests.wsi.simclr.toy import pool


def test_the_probe_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    generator = Generator().manual_seed(0)
    train, test = (torch.randn(n, 6, generator=generator) for n in (60, 20))
    train[:, 5], test[:, 5] = 7.0, 7.0  # a constant feature
    positive = train[:, 0] + 0.5 * torch.randn(60, generator=generator) > 0.3
    found = linear_probe(5 + 3 * train, positive, 5 + 3 * test)

    spread = train.double().std(0).clamp(min=1e-9).where(torch.arange(6) < 5, 1.0)
    x, others = ((values.double() - train.double().mean(0)) / spread for values in (train, test))
    oracle = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    wanted = oracle.fit(x.numpy(), positive.numpy()).decision_function(others.numpy())
    assert torch.allclose(found, torch.from_numpy(wanted), atol=1e-3)


def test_the_area_is_the_share_of_pairs_in_order_and_a_tie_is_half() -> None:
    score = torch.tensor([3.0, 1.0, 2.0, 1.0, 0.0, 9.0])
    positive = torch.tensor([True, True, False, False, False, True])
    slide = torch.tensor([4, 4, 4, 4, 4, 7])
    # 3 beats all three; 1 loses to 2, ties with 1, beats 0. Slide 7 has one kind only.
    assert auc_by_slide(score, positive, slide) == {4: pytest.approx(4.5 / 6)}


def test_scores_of_two_slides_are_never_compared() -> None:
    score = torch.tensor([1.0, 0.0, 11.0, 10.0])
    positive = torch.tensor([True, False] * 2)
    assert auc_by_slide(score, positive, torch.tensor([0, 0, 1, 1])) == {0: 1.0, 1: 1.0}


def test_features_are_in_the_order_of_the_pool_for_any_batch() -> None:
    tiles = pool(10, 2)
    encoder = make_encoder("colour-texture", preprocessing=Preprocessing(input_px=24))
    whole, parts = (embed_pool(encoder, tiles, batch=batch) for batch in (10, 3))
    assert torch.allclose(whole, parts, atol=1e-5)
    some = tiles.of_slides(["slide-1"])
    assert torch.allclose(embed_pool(encoder, some), whole[tiles.slide == 1], atol=1e-5)


def test_what_cannot_be_probed_is_refused() -> None:
    x, both = torch.zeros(4, 2), torch.tensor([True, False] * 2)
    with pytest.raises(RefusedInputError, match="4 positive of 4"):
        linear_probe(x, torch.ones(4).bool(), x)
    with pytest.raises(RefusedInputError, match="penalty 0"):
        linear_probe(x, both, x, penalty=0)
    with pytest.raises(RefusedInputError, match="NaN"):
        linear_probe(x / 0, both, x)
    with pytest.raises(RefusedInputError, match="no slide has"):
        auc_by_slide(torch.zeros(2), torch.ones(2).bool(), torch.tensor([0, 1]))
    with pytest.raises(RefusedInputError, match="scores hold NaN"):
        auc_by_slide(torch.tensor([torch.nan, 0.0]), both[:2], torch.tensor([0, 0]))
