"""v2's score: with the bias of each class as meant, with that of class 0 as released."""

import pytest
import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.mhim.class_aware import class_aware_scores
from medconsist.wsi.mil.mhim.scores import ClassProbability, teacher_scores
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.dsmil import Dsmil
from medconsist.wsi.mil.models.maximum import MaxPool

SIZE = MilSize(dim=5, classes=3, width=8)


def model() -> Abmil:
    made = Abmil(SIZE, generator=Generator().manual_seed(0)).eval()
    with torch.no_grad():
        made.classifier.bias.copy_(torch.tensor([0.8, -0.5, 0.1]))
    return made


def bags() -> BagBatch:
    x = torch.randn(17, 5, generator=Generator().manual_seed(1))
    return BagBatch.of([x[:6], x[6:]])


@torch.no_grad()
def test_the_score_is_the_largest_probability_of_one_weighted_instance() -> None:
    abmil = model()
    embedded = abmil.embed(bags())
    output = abmil.pool(embedded)
    found = class_aware_scores(abmil, embedded, output)[:, 0]
    assert output.attention is not None
    for row in range(17):
        weighted = output.attention[row, 0] * embedded.features[row]
        weight, bias = abmil.classifier.weight, abmil.classifier.bias
        logits = [float(weight[c] @ weighted + bias[c]) for c in range(3)]
        wanted = float(torch.tensor(logits).double().softmax(0).max())
        assert float(found[row]) == pytest.approx(wanted, rel=1e-6)  # float32 against float64


@torch.no_grad()
def test_the_released_bias_cancels_and_leaves_the_cam_without_one() -> None:
    abmil = model()
    embedded = abmil.embed(bags())
    output = abmil.pool(embedded)
    released = class_aware_scores(abmil, embedded, output, bias="class_0")
    meant = class_aware_scores(abmil, embedded, output)
    abmil.classifier.bias.zero_()
    without = class_aware_scores(abmil, embedded, output)
    torch.testing.assert_close(released, without, rtol=1e-12, atol=0)
    assert not torch.equal(meant.argsort(0), without.argsort(0))


@torch.no_grad()
def test_summands_of_all_branches_meet_the_classifier_of_dsmil() -> None:
    dsmil = Dsmil(SIZE, generator=Generator()).eval()
    embedded = dsmil.embed(bags())
    scores = teacher_scores("class_aware", dsmil, embedded, dsmil.pool(embedded))
    assert scores.shape == (17, 1)
    assert bool((scores >= 1 / 3).all())


def test_a_model_without_summands_and_another_bias_are_refused() -> None:
    largest, abmil = MaxPool(SIZE, generator=Generator()), model()
    with pytest.raises(RefusedInputError, match="MaxPool does not add up its instances"):
        class_aware_scores(largest, largest.embed(bags()), largest(bags()))
    embedded = abmil.embed(bags())
    output = abmil.pool(embedded)
    abmil.classifier = torch.nn.Linear(9, 3)
    with pytest.raises(RefusedInputError, match="no linear classifier of 8 numbers"):
        class_aware_scores(abmil, embedded, output)
    with pytest.raises(RefusedInputError, match="they are not the teacher's"):
        teacher_scores("given", abmil, embedded, output)


def test_the_probability_of_the_bags_class_ranks_its_instances() -> None:
    abmil = model()
    scores = ClassProbability(abmil)
    found = scores(bags(), torch.tensor([2, 0]))
    said = abmil(bags()).instance_scores
    assert said is not None
    wanted = torch.cat([said[:6].softmax(1)[:, 2], said[6:].softmax(1)[:, 0]])
    torch.testing.assert_close(found[:, 0].float(), wanted.detach())
    assert not found.requires_grad
    with torch.no_grad():
        abmil.classifier.weight.zero_()  # the model that was given trains on
    assert torch.equal(scores(bags(), torch.tensor([2, 0])), found)
