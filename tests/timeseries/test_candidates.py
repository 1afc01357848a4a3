"""Candidates by name: the trivial ones always, each once, with the budget that was given."""

from dataclasses import replace
from pathlib import Path

import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.candidates import CANDIDATES, TRIVIAL, Budgets, candidates
from medconsist.timeseries.evaluation.candidate import Probed
from medconsist.timeseries.evaluation.probes import KnnProbe
from medconsist.timeseries.pretexts import PRETEXTS
from medconsist.timeseries.pretrained import Pretrained, Pretraining
from medconsist.timeseries.pretraining import WindowSampling
from medconsist.timeseries.supervised import Finetuned, Finetuning
from tests.timeseries.evaluation.patients import simulated

WINDOWS = simulated(patients=8)
QUICK = Budgets(
    pretraining=Pretraining(epochs=1, sampling=WindowSampling(batch=8)),
    finetuning=Finetuning(epochs=1, batch=8),
)


def test_trivial_candidates_stand_first_whatever_is_named() -> None:
    assert [one.name for one in candidates((), WINDOWS, budgets=QUICK)] == [
        "majority class",
        "band power, logistic",
        "random encoder, logistic",
    ]
    named = candidates(("cpc", "majority", "scratch"), WINDOWS, budgets=QUICK)
    assert [one.name for one in named[len(TRIVIAL) :]] == ["cpc, logistic", "scratch"]


def test_all_candidates_have_names_of_their_own() -> None:
    found = candidates(CANDIDATES, WINDOWS, budgets=QUICK)
    assert len({one.name for one in found}) == len(CANDIDATES) == len(found)


def test_each_pre_training_is_of_its_method_with_the_budget_and_a_folder(tmp_path: Path) -> None:
    budgets = replace(QUICK, folder=tmp_path)
    for one in candidates(tuple(PRETEXTS), WINDOWS, budgets=budgets)[len(TRIVIAL) :]:
        assert isinstance(one, Probed)
        assert isinstance(one.representation, Pretrained)
        name = one.representation.name
        how = one.representation.how
        released = name == "comet-reference"
        assert how.sampling.order == ("trial-frozen" if released else "trial")
        assert how.average == (1.0 if released else "published")
        asked = replace(QUICK.pretraining, method=name)
        assert replace(how, sampling=asked.sampling, average=asked.average) == asked
        assert one.representation._folder == tmp_path / name
    (supervised,) = candidates(("eegnet",), WINDOWS, budgets=budgets)[len(TRIVIAL) :]
    assert isinstance(supervised, Finetuned)
    assert supervised.how is QUICK.finetuning
    assert supervised._folder == tmp_path / "eegnet"


def test_one_probe_is_on_all_representations() -> None:
    found = candidates(("ts2vec",), WINDOWS, probe="knn", budgets=QUICK)
    probes = [one.probe for one in found if isinstance(one, Probed)]
    assert probes == [KnnProbe()] * 3


@pytest.mark.parametrize(
    ("names", "probe", "says"),
    [
        (("commet",), "logistic", "Did you mean 'comet'"),
        (("cpc", "cpc"), "logistic", "cpc is named twice"),
        ((), "logistics", "there is no probe 'logistics'. Did you mean 'logistic'"),
    ],
)
def test_other_names_are_refused(names: tuple[str, ...], probe: str, says: str) -> None:
    with pytest.raises(RefusedInputError, match=says):
        candidates(names, WINDOWS, probe=probe, budgets=QUICK)
