"""Several bags in one batch: what is kept, what is refused."""

import pytest
import torch

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.output import BagOutput


def test_bags_come_out_as_they_went_in() -> None:
    bags = [torch.randn(n, 3) for n in (1, 4, 2)]
    batch = BagBatch.of(bags)
    assert (len(batch), batch.dim) == (3, 3)
    for number, bag in enumerate(bags):
        assert torch.equal(batch.one(number).features, bag)


def test_hidden_instances_are_gone_and_the_others_keep_their_order() -> None:
    batch = BagBatch.of([torch.arange(4.0)[:, None], torch.arange(4.0, 7.0)[:, None]])
    kept = torch.tensor([True, False, True, True, False, True, False])
    left = batch.keep(kept)
    assert left.features[:, 0].tolist() == [0, 2, 3, 5]
    assert left.segments.sizes.tolist() == [3, 1]


def test_a_bag_cannot_lose_all_its_instances() -> None:
    batch = BagBatch.of([torch.zeros(2, 1), torch.zeros(1, 1)])
    with pytest.raises(RefusedInputError, match="Leave empty sets out"):
        batch.keep(torch.tensor([True, True, False]))


def test_no_bag_is_no_batch_and_rows_must_fit() -> None:
    with pytest.raises(RefusedInputError, match="one bag or more, got none"):
        BagBatch.of([])
    with pytest.raises(ShapeError, match="have 3 rows and the segments 2"):
        BagBatch(torch.zeros(3, 1), Segments.of_sizes([2]))


def test_outputs_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ShapeError, match="do not fit"):
        BagOutput(logits=torch.zeros(2, 2), features=torch.zeros(1, 8))
    with pytest.raises(ShapeError, match="attention has 3 instances and the scores 4"):
        BagOutput(
            logits=torch.zeros(1, 2),
            features=torch.zeros(1, 8),
            attention=torch.zeros(3, 1),
            instance_scores=torch.zeros(4, 2),
        )
