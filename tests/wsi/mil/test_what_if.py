"""Tiles left out: which lie in an outline, and what the model says without them."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
import torch

from medconsist.errors import RefusedInputError
from medconsist.wsi.bags.bag_store import CaseBag
from medconsist.wsi.bags.simulate import simulated_bag
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.card import MilCard, SpaceRecord
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.predictor import Predictor
from medconsist.wsi.mil.what_if import tiles_inside, without_tiles

DIM = 4


@pytest.fixture
def case() -> CaseBag:
    """Two slides of eight and five tiles."""
    slides = [simulated_bag(tiles=n, dim=DIM, slide=f"slide-{n}") for n in (8, 5)]
    return CaseBag(tuple(slides))


@pytest.fixture
def predictor(generator: torch.Generator) -> Predictor:
    card = MilCard(
        method="abmil",
        weights_sha256="a" * 64,
        classes=("normal", "tumour"),
        space=SpaceRecord(dim=DIM),
        study="a test",
    )
    return Predictor(Abmil(MilSize(dim=DIM, width=8), generator=generator).eval(), card)


def test_an_outline_around_one_tile_hides_that_one_of_that_slide(case: CaseBag) -> None:
    grid = case.bags[1].header.tile_grid
    columns, rows = case.bags[1].index.numpy().astype(np.int64).T
    item = rows * case.bags[1].header.grid.columns + columns
    x0, y0, x1, y1 = grid.boxes(item[[2]])[0]
    hidden = tiles_inside(case, 1, shapely.box(x0, y0, x1, y1))
    assert np.flatnonzero(hidden).tolist() == [8 + 2]
    assert not tiles_inside(case, 0, shapely.box(-9e5, -9e5, -8e5, -8e5)).any()


def test_without_tiles_is_the_model_on_the_tiles_that_are_left(
    case: CaseBag, predictor: Predictor
) -> None:
    hidden = np.zeros(len(case), dtype=bool)
    hidden[[1, 9]] = True
    answer = without_tiles(predictor, case, hidden)
    left = case.rows(torch.from_numpy(np.flatnonzero(~hidden))).float()
    with torch.no_grad():
        expected = predictor.probabilities(predictor.network(BagBatch.of([left])))[0]
    assert answer.without == tuple(expected.tolist())
    assert (answer.hidden, answer.left) == (2, 11)
    assert sum(answer.whole) == pytest.approx(1)
    assert answer.whole != answer.without


def test_an_answer_says_whether_the_call_flips(case: CaseBag, predictor: Predictor) -> None:
    hidden = np.zeros(len(case), dtype=bool)
    hidden[0] = True
    answer = without_tiles(predictor, case, hidden)
    assert replace(answer, whole=(0.6, 0.4), without=(0.4, 0.6)).flips
    assert not replace(answer, whole=(0.6, 0.4), without=(0.9, 0.1)).flips


@pytest.mark.parametrize(("every", "sentence"), [(False, "no tile lies"), (True, "all tiles")])
def test_nothing_to_compare_is_refused(
    case: CaseBag, predictor: Predictor, every: bool, sentence: str
) -> None:
    with pytest.raises(RefusedInputError, match=sentence):
        without_tiles(predictor, case, np.full(len(case), every))


def test_features_of_another_space_are_refused(case: CaseBag, predictor: Predictor) -> None:
    card = predictor.card.model_copy(update={"space": SpaceRecord(dim=DIM + 1)})
    hidden = np.zeros(len(case), dtype=bool)
    hidden[0] = True
    with pytest.raises(RefusedInputError, match="dim"):
        without_tiles(replace(predictor, card=card), case, hidden)
