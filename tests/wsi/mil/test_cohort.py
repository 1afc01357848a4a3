"""Labelled bags: parts, missing labels, and what no bag may be."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags


def infos(labels: list[int | None]) -> list[BagInfo]:
    return [BagInfo(case=f"c{n}", patient=f"p{n}", label=one) for n, one in enumerate(labels)]


def cohort(labels: list[int | None]) -> Cohort:
    bags = [torch.full((n + 1, 2), float(n)) for n in range(len(labels))]
    return Cohort.of(InMemoryBags(bags), infos(labels))


def test_a_part_of_a_part_finds_its_bags() -> None:
    part = cohort([0, 1, 0, 1]).part([1, 2, 3]).part([2, 0])
    assert [info.case for info in part.infos] == ["c3", "c1"]
    assert [part.instances(bag) for bag in range(2)] == [4, 2]
    assert part.rows(0, torch.tensor([3])).tolist() == [[3.0, 3.0]]


def test_cases_are_found_by_name_in_the_order_of_the_cohort() -> None:
    assert cohort([0, 1, 0]).of_cases(["c2", "c0"]).patients == ("p0", "p2")
    with pytest.raises(RefusedInputError, match="first is 'c9'"):
        cohort([0, 1]).of_cases(["c9"])


def test_a_label_that_is_missing_is_named_when_it_is_asked_for() -> None:
    with pytest.raises(
        RefusedInputError, match="1 of 2 cases have no label here, the first is 'c1'"
    ):
        cohort([0, None]).labels  # noqa: B018  the question is the test


@pytest.mark.parametrize(
    ("bags", "said"),
    [
        ([], "got 0 bags"),
        ([torch.zeros(2, 3), torch.zeros(0, 3)], r"the bags \[1\] are empty"),
        ([torch.zeros(2, 3), torch.zeros(2, 4)], r"lengths \[3, 4\]"),
        ([torch.full((1, 3), torch.nan)], r"\[0\] hold NaN"),
    ],
)
def test_bags_that_cannot_be_trained_on_are_refused(bags: list[torch.Tensor], said: str) -> None:
    with pytest.raises(RefusedInputError, match=said):
        InMemoryBags(bags)


def test_a_case_twice_and_a_label_of_no_class_are_refused() -> None:
    source = InMemoryBags([torch.zeros(1, 2), torch.zeros(1, 2)])
    with pytest.raises(RefusedInputError, match=r"twice: \['c0'\]"):
        Cohort.of(source, [BagInfo(case="c0", patient=p) for p in ("a", "b")])
    with pytest.raises(RefusedInputError, match=r"other than 0 to 1: \['c1'\]"):
        Cohort.of(source, infos([0, 2]))


@pytest.mark.parametrize("numbers", [(0, 2), (1, 1), (0, -1)])
def test_a_bag_that_is_not_there_or_there_twice_is_refused(numbers: tuple[int, int]) -> None:
    source = InMemoryBags([torch.zeros(1, 2), torch.zeros(1, 2)])
    with pytest.raises(RefusedInputError, match="one or more of the 2 bags of its source"):
        Cohort(source, numbers, tuple(infos([0, 1])))


def test_the_hash_of_cases_knows_neither_order_nor_labels() -> None:
    assert cohort([0, 1, 0]).part([2, 0, 1]).cases_sha256 == cohort([1, 1, None]).cases_sha256
    assert cohort([0, 1]).cases_sha256 != cohort([0, 1, 0]).cases_sha256
