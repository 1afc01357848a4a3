"""MUSK1 is read from both files in which it is passed on."""

from pathlib import Path

import pytest
import torch
from torch import Generator
from torch.nn import functional

from medconsist.errors import CorruptInputError, MissingInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.musk import read_musk


def content(cohort: Cohort) -> list[tuple[int, list[list[float]]]]:
    labels = cohort.labels.tolist()
    return sorted((labels[bag], sorted(cohort.rows(bag).tolist())) for bag in range(len(cohort)))


@pytest.mark.data
@pytest.mark.parametrize("name", ["musk1.data", "mil_musk1.csv"])
def test_musk1_has_92_bags_of_476_instances(data_dir: Path, name: str) -> None:
    """W1 of the spec."""
    cohort = read_musk(data_dir / "wsi" / name)
    assert len(cohort) == 92
    assert int(cohort.labels.sum()) == 47
    assert sum(cohort.instances(bag) for bag in range(92)) == 476
    assert cohort.source.dim == 166
    assert len(set(cohort.patients)) == 92


@pytest.mark.data
def test_both_files_hold_the_same_molecules(data_dir: Path) -> None:
    one, other = (read_musk(data_dir / "wsi" / name) for name in ("musk1.data", "mil_musk1.csv"))
    assert content(one) == content(other)


@pytest.mark.data
def test_training_on_musk1_learns_the_bags_it_sees(data_dir: Path, generator: Generator) -> None:
    """W1: a smoke test on training bags; it says nothing of new molecules."""
    cohort = read_musk(data_dir / "wsi" / "musk1.data")
    bags = BagBatch.of([cohort.rows(bag) for bag in range(len(cohort))])
    spread, mean = torch.std_mean(bags.features, dim=0)
    bags = bags.with_features((bags.features - mean) / spread)
    model = Abmil(MilSize(dim=166, width=32), generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = list[float]()
    for _ in range(60):
        loss = functional.cross_entropy(model(bags).logits, cohort.labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_a_cut_row_and_a_molecule_of_two_classes_are_refused(tmp_path: Path) -> None:
    path, numbers = tmp_path / "m.csv", ",0" * 166
    path.write_text(f"1,1{numbers}\n1,2,0\n")
    with pytest.raises(CorruptInputError, match="row 2: got 3 cells"):
        read_musk(path)
    path.write_text(f"1,1{numbers}\n0,1{numbers}\n")
    with pytest.raises(CorruptInputError, match="molecule bag-1 has two classes"):
        read_musk(path)
    path.write_text("")
    with pytest.raises(CorruptInputError, match="the file is empty"):
        read_musk(path)
    path.write_text(f"1,1,x{numbers[2:]}\n")
    with pytest.raises(CorruptInputError, match="row 1: could not convert"):
        read_musk(path)
    with pytest.raises(MissingInputError, match=r"there is no .*no\.data"):
        read_musk(tmp_path / "no.data")
