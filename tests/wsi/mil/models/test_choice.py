"""Models by name: there and back, and what a wrong name is told."""

import json
from typing import Any

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.models.base import MilModel, MilSize
from medconsist.wsi.mil.models.choice import MODELS, architecture_of, make_model, model_from

SIZE = MilSize(dim=12, classes=3, width=16, dropout=0.1)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_from_its_plain_architecture(name: str) -> None:
    plain = json.loads(json.dumps(architecture_of(name, SIZE)))
    again = model_from(plain, torch.Generator().manual_seed(1))
    first = make_model(name, SIZE, generator=torch.Generator().manual_seed(1))
    assert (type(again), again.size) == (type(first), SIZE)
    for (key, one), (_, other) in zip(
        first.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), key


def test_options_of_the_class_come_back_too(generator: torch.Generator) -> None:
    plain = architecture_of("clam-sb", SIZE, {"subtyping": True, "count": 4})
    model: Any = model_from(plain, generator)
    assert (model.task.subtyping, model.task.count) == (True, 4)


def test_names_of_one_class_differ_in_what_they_fix(generator: torch.Generator) -> None:
    plain: Any = make_model("abmil", SIZE, generator=generator)
    gated: Any = make_model("abmil-gated", SIZE, generator=generator)
    assert plain.score.gates is None
    assert gated.score.gates is not None


@pytest.mark.parametrize("name", MODELS)
def test_every_name_is_a_model_of_bags(name: str) -> None:
    assert issubclass(MODELS[name].load(), MilModel)


def test_an_unknown_model_is_told_the_nearest(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match=r"no model 'transmill'. Did you mean 'transmil'"):
        make_model("transmill", SIZE, generator=generator)


def test_an_unknown_option_is_told_the_nearest(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match=r"no option 'subtype'. Did you mean 'subtyping'"):
        make_model("clam-sb", SIZE, generator=generator, subtype=True)


def test_what_the_name_decides_is_no_option() -> None:
    with pytest.raises(RefusedInputError, match="model abmil has no option 'gated'"):
        architecture_of("abmil", SIZE, {"gated": True})


@pytest.mark.parametrize("value", [torch.zeros(1), (1, 2), {1}])
def test_an_option_that_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(RefusedInputError, match="allowed in a weights file"):
        architecture_of("clam-sb", SIZE, {"count": value})


@pytest.mark.parametrize(
    "plain",
    [{}, {"model": "max", "size": {"dim": 3}, "options": {}}, {"model": "max", "size": 3}],
)
def test_weights_of_something_else_are_refused(
    plain: dict[str, Any], generator: torch.Generator
) -> None:
    with pytest.raises(RefusedInputError, match="Are these weights of a model of bags"):
        model_from(plain, generator)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": {"dim": "12"}},
        {"size": {"width": 16.0}},
        {"size": {"dropout": None}},
        {"options": {"hidden": "many"}},
    ],
)
def test_weights_with_values_of_the_wrong_kind_are_refused(
    wrong: dict[str, Any], generator: torch.Generator
) -> None:
    plain = architecture_of("abmil", SIZE)
    changed = {part: plain[part] | wrong.get(part, {}) for part in ("size", "options")}
    with pytest.raises(RefusedInputError, match=r"abmil got the sizes .* one of the wrong kind"):
        model_from(plain | changed, generator)


def test_a_model_without_a_name_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match="Are these weights of a model of bags"):
        model_from(architecture_of("max", SIZE) | {"model": ["max"]}, generator)
