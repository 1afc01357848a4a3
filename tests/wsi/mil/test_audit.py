"""Each look of the leak audit finds what was planted, and nothing where nothing was."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.manifests.cases import CaseManifest, CaseRow
from medconsist.manifests.split import make_split, write_split
from medconsist.metrics.group_probe import ProbeSettings
from medconsist.wsi.mil.audit import (
    copies_across,
    patients_apart,
    sites_apart,
    split_unaltered,
    truth_unseen,
)
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.fingerprints import Fingerprints
from medconsist.wsi.mil.site_probe import (
    label_by_site,
    shortcut,
    site_from_features,
)

DIM = 32


def cohort_of(
    n: int, *, name: str = "c", shift: float = 0.0, tiles: int = 120, sites: int = 3
) -> Cohort:
    """Bags with a few tumour tiles; scanners shift all tiles of a site by ``shift``."""
    generator = Generator().manual_seed(len(name) * 1000 + n)
    scanners = torch.randn(sites, DIM, generator=Generator().manual_seed(7)) / DIM**0.5
    bags, infos = list[Tensor](), list[BagInfo]()
    for i in range(n):
        label = int(torch.randint(2, (1,), generator=generator))
        bag = torch.randn(tiles, DIM, generator=generator) + shift * scanners[i % sites]
        bag[:12] += label
        bags.append(bag)
        info = BagInfo(case=f"{name}{i}", patient=f"{name}-p{i}", label=label, site=f"s{i % sites}")
        infos.append(info)
    return Cohort.of(InMemoryBags(bags), infos)


def rows_of(cohort: Cohort) -> list[Tensor]:
    return [cohort.rows(bag) for bag in range(len(cohort))]


def with_bags(cohort: Cohort, bags: Sequence[Tensor]) -> Cohort:
    own = rows_of(cohort)
    return Cohort.of(InMemoryBags([*bags, *own[len(bags) :]]), cohort.infos)


def test_a_patient_in_two_parts_is_found_by_its_whole_id() -> None:
    train, test = cohort_of(6), cohort_of(6, name="c1")
    assert patients_apart({"train": train, "test": test}).passed
    both = patients_apart({"train": train, "test": train.part([2, 3])})
    assert not both.passed
    assert both.is_leak
    assert both.numbers == {"patients": 6, "shared": 2}
    assert "the first, c-p2, is in train and test" in both.sentence


def test_shared_sites_are_a_warning_and_unknown_ones_no_pass() -> None:
    train, test = cohort_of(6), cohort_of(3, name="t")
    found = sites_apart({"train": train, "test": test})
    assert not found.passed
    assert not found.is_leak
    assert sites_apart({"train": train.part([0, 3]), "test": test.part([1, 2])}).passed
    nowhere = Cohort.of(InMemoryBags([torch.ones(1, 2)]), [BagInfo(case="a", patient="a")])
    assert "is unknown" in sites_apart({"train": nowhere}).sentence


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_slides_of_one_scanner_are_no_copies(shift: float) -> None:
    parts = {"train": cohort_of(30, shift=shift), "test": cohort_of(10, name="t", shift=shift)}
    found = copies_across(parts)
    assert found.passed, found.sentence
    assert found.numbers == {"bags": 40, "pairs": 0}


@pytest.mark.parametrize("kind", ["the same", "in another order", "half of it", "scanned again"])
def test_a_copy_of_a_slide_is_found(kind: str, generator: Generator) -> None:
    train, test = cohort_of(30, shift=2.0), cohort_of(10, name="t", shift=2.0)
    bag = train.rows(4)
    noise = 0.2 * torch.randn(bag.shape, generator=generator)
    copy = {
        "the same": bag,
        "in another order": bag[torch.randperm(len(bag), generator=generator)],
        "half of it": torch.cat([bag[:60], test.rows(0)[:60]]),
        "scanned again": bag + noise,
    }[kind]
    found = copies_across({"train": train, "test": with_bags(test, [copy])})
    assert found.is_leak
    assert found.numbers["pairs"] == 1
    assert "case c4 (train) and case t0 (test)" in found.sentence


def test_a_test_of_nothing_but_rescanned_slides_is_found(generator: Generator) -> None:
    train = cohort_of(30)
    again = [bag + 0.2 * torch.randn(bag.shape, generator=generator) for bag in rows_of(train)]
    test = with_bags(cohort_of(30, name="again"), again)
    assert copies_across({"train": train, "test": test}).numbers["pairs"] > 20


def test_a_copy_within_a_part_is_no_leak() -> None:
    train = cohort_of(10)
    twice = with_bags(train, [train.rows(5)])
    assert copies_across({"train": twice, "test": cohort_of(4, name="t")}).passed


def test_an_empty_tile_that_most_slides_have_makes_no_copies() -> None:
    blank = torch.zeros(10, DIM)
    parts = {
        name: with_bags(one, [torch.cat([one.rows(b), blank]) for b in range(len(one))])
        for name, one in {"train": cohort_of(30), "test": cohort_of(10, name="t")}.items()
    }
    assert copies_across(parts).passed


def test_the_shared_part_of_large_bags_is_estimated(generator: Generator) -> None:
    bag = torch.randn(4000, 8, generator=generator)
    other = torch.randn(4000, 8, generator=generator)
    mixed = torch.cat([bag[:1000], other[1000:]])
    infos = [BagInfo(case=f"c{n}", patient=f"p{n}") for n in range(4)]
    found = Fingerprints.of([Cohort.of(InMemoryBags([bag, mixed, other, bag[:100]]), infos)])
    # 256 of the smallest hashes: standard error sqrt(.25 * .75 / 256) = .027
    assert abs(found.shared(0, 1) - 0.25) < 0.1
    assert found.shared(0, 2) == 0.0
    assert found.shared(0, 0) == found.shared(0, 3) == 1.0


def test_bags_of_very_different_sizes_share_nothing_by_chance() -> None:
    large, small = (np.arange(n, dtype=np.uint64) for n in (256, 512))
    hashes = (large, small[256:])  # all of the small bag's lie above the largest of the large one's
    found = Fingerprints(torch.zeros(2, 1), hashes)
    assert found.shared(0, 1) == found.shared(1, 0) == 0.0


def test_hashes_are_those_of_values_not_of_their_order() -> None:
    infos = [BagInfo(case=f"c{n}", patient=f"p{n}") for n in range(2)]
    rows = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    negative = torch.tensor([[2.0, 3.0], [-0.0, 1.0]])
    found = Fingerprints.of([Cohort.of(InMemoryBags([rows, negative]), infos)])
    assert np.array_equal(found.hashes[0], found.hashes[1])


def test_copies_need_two_parts() -> None:
    with pytest.raises(RefusedInputError, match="two or more"):
        copies_across({"train": cohort_of(3)})


QUICK = ProbeSettings(permutations=39)


def test_the_probe_tells_planted_sites_and_none_where_there_are_none() -> None:
    def looked(shift: float) -> dict[str, float | int]:
        cohort, generator = cohort_of(60, shift=shift), Generator().manual_seed(0)
        found = site_from_features(cohort, generator=generator, settings=QUICK)
        assert found.passed == (shift == 0.0), found.sentence
        assert not found.is_leak
        return dict(found.numbers)

    assert looked(4.0)["balanced_accuracy"] > 0.9
    # chance is 1/3; 60 bags have a standard error of 0.06
    assert abs(looked(0.0)["balanced_accuracy"] - 1 / 3) < 0.2


def test_the_probe_keeps_the_bags_of_a_patient_together() -> None:
    """Twins of one patient across folds would be told by being twins, not by their site."""
    single = cohort_of(30, tiles=4)
    bags = [single.rows(i // 2) + 0.0 for i in range(60)]
    infos = [
        BagInfo(case=f"x{i}", patient=single.infos[i // 2].patient, site=single.infos[i // 2].site)
        for i in range(60)
    ]
    twins = Cohort.of(InMemoryBags(bags), infos)
    found = site_from_features(twins, generator=Generator().manual_seed(1), settings=QUICK)
    assert found.passed, found.sentence
    assert found.numbers["patients"] == 30


def test_the_null_of_the_probe_is_uniform() -> None:
    """Of 20 cohorts without sites in their features, few have p <= 0.05; all about 0.05 * 20."""
    p = [
        site_from_features(
            cohort_of(24, name=f"n{seed}" + "n" * seed, tiles=3),
            generator=Generator().manual_seed(seed),
            settings=ProbeSettings(permutations=19, folds=3),
        ).numbers["p"]
        for seed in range(20)
    ]
    # binomial(20, 0.05): more than 4 has probability 0.003
    assert sum(value <= 0.05 for value in p) <= 4
    assert 0.3 < float(np.mean(p)) < 0.75


def test_the_probe_refuses_what_it_cannot_judge() -> None:
    with pytest.raises(RefusedInputError, match="got 1 sites of two patients"):
        site_from_features(cohort_of(6, sites=1), generator=Generator())
    one = cohort_of(6)
    torn = [*one.infos[:5], BagInfo(case="z", patient=one.infos[0].patient, site="s1")]
    with pytest.raises(RefusedInputError, match="1 patients of several sites"):
        site_from_features(Cohort.of(one.source, torn), generator=Generator())
    with pytest.raises(RefusedInputError, match="19"):
        ProbeSettings(permutations=9)


def infos_of(table: Sequence[Sequence[int]]) -> list[BagInfo]:
    return [
        BagInfo(case=f"{label}{site}{n}", patient=f"{label}{site}{n}", label=label, site=f"s{site}")
        for label, row in enumerate(table)
        for site, count in enumerate(row)
        for n in range(count)
    ]


def test_label_and_site_of_a_two_by_two_table_agree_with_fisher(generator: Generator) -> None:
    """The tea of the lady (Fisher 1935): 3 1 / 1 3 has p = 34/70."""
    found = label_by_site(infos_of([[3, 1], [1, 3]]), generator=generator)
    assert found.numbers["p"] == pytest.approx(34 / 70)
    assert found.passed
    strong = label_by_site(infos_of([[20, 0], [0, 20]]), generator=generator)
    assert not strong.passed
    # without the correction for bias V is 1; Bergsma's is 1 there too
    assert strong.numbers["cramers_v"] == pytest.approx(1.0)


def test_larger_tables_are_judged_by_permutation(generator: Generator) -> None:
    assert not label_by_site(infos_of([[15, 1, 5], [1, 15, 5]]), generator=generator).passed
    even = label_by_site(infos_of([[8, 8, 8], [8, 8, 8]]), generator=generator)
    assert even.passed
    assert even.numbers["p"] == 1.0
    assert even.numbers["cramers_v"] == 0.0


def test_a_patient_counts_once_and_sealed_cases_do_not(generator: Generator) -> None:
    infos = infos_of([[3, 1], [1, 3]])
    more = [BagInfo(case=f"again{n}", patient="000", label=0, site="s0") for n in range(30)]
    sealed = [BagInfo(case="t", patient="t", site="s0")]
    found = label_by_site([*infos, *more, *sealed], generator=generator)
    assert found.numbers["patients"] == 8
    with pytest.raises(RefusedInputError, match="of 1 sites"):
        label_by_site(infos_of([[3], [3]]), generator=generator)


def test_a_site_in_features_and_labels_on_both_sides_is_a_leak(generator: Generator) -> None:
    cohort = cohort_of(60, shift=4.0, sites=2)
    confounded = [
        BagInfo(case=i.case, patient=i.patient, label=int(i.site == "s1"), site=i.site)
        for i in cohort.infos
    ]
    probe = site_from_features(cohort, generator=generator, settings=QUICK)
    association = label_by_site(confounded, generator=generator)
    halves = {"train": cohort.part(range(30)), "test": cohort.part(range(30, 60))}
    by_site = {"train": cohort.part(range(0, 60, 2)), "test": cohort.part(range(1, 60, 2))}
    assert shortcut(probe, association, sites_apart(halves)).is_leak
    assert shortcut(probe, association, sites_apart(by_site)).passed
    even = label_by_site(infos_of([[8, 8], [8, 8]]), generator=generator)
    assert shortcut(probe, even, sites_apart(halves)).passed


def test_an_altered_split_is_a_finding(tmp_path: Path) -> None:
    rows = tuple(
        CaseRow(row=n, path=Path(f"/{n}"), item=f"s{n}", case=f"c{n}", patient=f"p{n}")
        for n in range(2, 12)
    )
    manifest = CaseManifest(rows=rows, path=Path("m.csv"), sha256="0" * 64)
    path = tmp_path / "split.json"
    write_split(make_split(manifest), path)
    assert split_unaltered(path, manifest).passed
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    found = split_unaltered(path, manifest)
    assert found.is_leak
    assert "was altered" in found.sentence


def digest(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()


TRUTH = [torch.tensor([0, 1, 0]), torch.tensor([1, 1, 0, 0])]


def test_a_training_that_reads_the_truth_is_found(generator: Generator) -> None:
    blind = truth_unseen(lambda _: digest("weights"), TRUTH, generator=generator)
    assert blind.passed
    assert blind.numbers["instances"] == 7

    def peeks(truth: Sequence[Tensor]) -> str:
        return digest([one.tolist() for one in truth])

    seen = truth_unseen(peeks, TRUTH, generator=generator)
    assert seen.is_leak
    assert "the training reads the truth of instances" in seen.sentence


def test_a_training_that_does_not_repeat_is_told_from_a_leak(generator: Generator) -> None:
    runs = iter(range(9))
    found = truth_unseen(lambda _: digest(next(runs)), TRUTH, generator=generator)
    assert not found.passed
    assert "fix its seeds" in found.sentence


def test_a_constant_truth_tells_nothing(generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="give bags with both kinds"):
        truth_unseen(lambda _: "", [torch.zeros(3, dtype=torch.int64)], generator=generator)
