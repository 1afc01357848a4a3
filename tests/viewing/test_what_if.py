"""What if these tiles were not there: by the stored features and weights, or not at all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medconsist.errors import CorruptInputError, MissingInputError, RefusedInputError
from medconsist.results.store import ResultStore, StoredResult
from medconsist.viewing.what_if import WATERMARK, found_predictor, what_if, what_if_words
from tests.viewing.asked_again import predict_trained
from tests.viewing.slides import embed_small


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultStore, StoredResult]:
    root: Path = tmp_path_factory.mktemp("what") / "results"
    stored = predict_trained(root)
    return ResultStore(root, "wsi"), stored


def around(stored: StoredResult, share: float = 0.5) -> dict[str, Any]:
    """An outline of the left part of the slide."""
    record = stored.record("attention")
    assert record.place is not None
    width = record.shape[1] * record.place.scale[1] * share
    points = [[0, 0], [width, 0], [width, 5000], [0, 5000], [0, 0]]
    return {"type": "Polygon", "coordinates": [points]}


def test_the_model_is_found_by_its_weights_and_says_again_what_it_said(
    predicted: tuple[ResultStore, StoredResult],
) -> None:
    store, stored = predicted
    predictor = found_predictor(store, stored.result)
    answer = what_if(store, stored, around(stored), predictor=predictor)
    values = [one.value for one in stored.result.metrics]
    np.testing.assert_allclose(answer.whole, values, atol=1e-6)  # the same machine and order
    tiles = stored.record("attention_by_tile").shape[0]
    assert answer.hidden + answer.left == tiles
    assert 0 < answer.hidden < tiles


def test_the_answer_is_marked_and_says_how_many_tiles(
    predicted: tuple[ResultStore, StoredResult],
) -> None:
    store, stored = predicted
    predictor = found_predictor(store, stored.result)
    answer = what_if(store, stored, around(stored), predictor=predictor)
    words = what_if_words(replace(answer, whole=(0.7, 0.3), without=(0.2, 0.8)))
    assert words["watermark"] == WATERMARK == "what if, not a result"
    assert words["rows"] == [["normal", "0.700", "0.200"], ["tumour", "0.300", "0.800"]]
    assert words["notes"][0] == f"{answer.hidden} tiles left out, {answer.left} remain in the case."
    assert "Another class becomes the most probable." in words["notes"]


def test_without_the_weights_nothing_is_said(tmp_path: Path) -> None:
    root = tmp_path / "results"
    stored = predict_trained(root)
    (root.parent / "model" / "model.safetensors").unlink()
    with pytest.raises(MissingInputError, match="not where they were"):
        found_predictor(ResultStore(root, "wsi"), stored.result)


def test_a_model_that_says_something_else_is_not_shown(
    predicted: tuple[ResultStore, StoredResult],
) -> None:
    store, stored = predicted
    predictor = found_predictor(store, stored.result)
    with torch.no_grad():
        bias = next(one for one in predictor.network.parameters() if one.shape == (2,))
        called = max(range(2), key=[one.value for one in stored.result.metrics].__getitem__)
        bias[called] -= 1e5
    with pytest.raises(RefusedInputError, match="asked again, the model says"):
        what_if(store, stored, around(stored), predictor=predictor)


def test_an_embedding_has_no_model_to_ask(tmp_path: Path) -> None:
    stored = embed_small(tmp_path / "results")
    with pytest.raises(RefusedInputError, match="no model of bags"):
        found_predictor(ResultStore(tmp_path / "results", "wsi"), stored.result)


def test_an_outline_that_crosses_itself_is_refused(
    predicted: tuple[ResultStore, StoredResult],
) -> None:
    store, stored = predicted
    crossed = [[0, 0], [900, 900], [900, 0], [0, 900], [0, 0]]
    with pytest.raises(CorruptInputError, match="crosses or touches itself"):
        what_if(
            store,
            stored,
            {"type": "Polygon", "coordinates": [crossed]},
            predictor=found_predictor(store, stored.result),
        )
