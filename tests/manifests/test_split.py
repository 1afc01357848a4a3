"""A split keeps patients whole, balances labels, and is frozen with the manifest it was made of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import CorruptResultError, MissingInputError, RefusedInputError
from medconsist.manifests.cases import CaseRow
from medconsist.manifests.split import make_split, read_split, write_split
from medconsist.manifests.split_notes import split_text
from medconsist.manifests.split_record import PARTS, Round, Split, SplitPlan


def rows_of(patients: int, *, sites: int = 7, seed: int = 0) -> list[CaseRow]:
    """Patients of one to three cases each, two thirds of them normal."""
    drawn, rows = np.random.default_rng(seed), list[CaseRow]()
    for patient in range(patients):
        site = f"site-{drawn.integers(sites)}"
        label = str(drawn.choice(["normal", "normal", "tumour"]))
        for case in range(drawn.integers(1, 4)):
            name = f"{patient}-{case}"
            rows.append(
                CaseRow(
                    row=len(rows) + 2,
                    path=Path(f"/{name}"),
                    item=f"s{name}",
                    case=f"c{name}",
                    patient=f"p{patient}",
                    label=label,
                    site=site,
                )
            )
    return rows


def one_each(
    names: Sequence[str], *, label: str | None = None, site: str | None = None
) -> list[CaseRow]:
    bare = [
        CaseRow(row=n, path=Path(f"/{name}"), item=name, case=name, patient=name)
        for n, name in enumerate(names, start=2)
    ]
    return [row.model_copy(update={"label": label, "site": site}) for row in bare]


PLANS = [
    SplitPlan(),
    SplitPlan(validation=None),
    SplitPlan(folds=5),
    SplitPlan(folds=3, repeats=2, seed=4),
    SplitPlan(group="site"),
    SplitPlan(group="site", folds=3),
]


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_patient_is_in_one_part_of_each_round(plan: SplitPlan) -> None:
    rows = rows_of(60)
    split = make_split(rows, plan)
    patients = {row.patient for row in rows}
    for one in split.rounds:
        placed = [patient for part in PARTS for patient in one.part(part)]
        assert len(placed) == len(set(placed)) == len(patients)
        assert set(placed) == patients
        assert bool(one.validation) == (plan.validation is not None)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_order_of_the_rows_does_not_matter_and_the_seed_does(plan: SplitPlan) -> None:
    rows = rows_of(60)
    turned = [
        row.model_copy(update={"row": number})
        for number, row in enumerate(rows[1::2] + rows[::-2], start=2)
    ]
    assert make_split(turned, plan) == make_split(rows, plan)
    if plan.group == "patient":
        other = plan.model_copy(update={"seed": plan.seed + 1})
        assert make_split(rows, other).rounds != make_split(rows, plan).rounds


def test_among_many_sites_the_seed_decides() -> None:
    rows = rows_of(60, sites=24)
    plans = [SplitPlan(group="site", folds=3, seed=seed) for seed in range(3)]
    assert len({make_split(rows, plan).rounds[0].test for plan in plans}) == 3


def test_each_patient_is_the_test_of_one_fold() -> None:
    split = make_split(rows_of(60), SplitPlan(folds=5, repeats=2))
    for repeat in range(2):
        tested = [p for one in split.rounds if one.repeat == repeat for p in one.test]
        assert sorted(tested) == sorted(split.patients)


def test_labels_are_balanced_to_a_case_or_two() -> None:
    rows = rows_of(200)
    split = make_split(rows, SplitPlan(folds=5))
    for label in ("normal", "tumour"):
        total = sum(row.label == label for row in rows)
        for one in split.rounds:
            # a patient has up to three cases, which are not torn
            assert abs(one.counts["test"].labels[label] - total / 5) <= 3


def test_patients_of_several_cases_are_not_all_trained_on() -> None:
    """Dealing large ones first by absolute shortfall would put them all into the largest part."""
    rows = rows_of(200)
    split = make_split(rows, SplitPlan())
    of_three = {name for name, known in split.patients.items() if len(known.cases) == 3}
    share = len(of_three & set(split.rounds[0].test)) / len(of_three)
    assert 0.15 < share < 0.25  # the test holds 0.2 of the patients


def test_one_id_that_begins_with_another_is_another_patient() -> None:
    """V2: TCGA names are compared whole; a search in strings would drag one with the other."""
    long = [f"TCGA-05-42{n}-01" for n in range(20)]
    short = [name.removesuffix("-01") for name in long]
    rows = one_each([*short, *long], label="a")
    split = make_split(rows, SplitPlan(folds=4))
    apart = 0
    for one in split.rounds:
        assert len(one.train) + len(one.validation) + len(one.test) == 40
        apart += sum((a in one.test) != (b in one.test) for a, b in zip(short, long, strict=True))
    assert apart > 0
    assert any("20 pairs of patients have ids of which one begins" in note for note in split.notes)


def test_p1_is_no_beginning_of_p12() -> None:
    assert not make_split(one_each([f"p{n}" for n in range(1, 30)], label="a")).notes


@pytest.mark.parametrize("folds", [None, 3])
def test_no_site_is_on_two_sides(folds: int | None) -> None:
    rows = rows_of(60)
    split = make_split(rows, SplitPlan(group="site", folds=folds))
    site_of = {row.patient: row.site for row in rows}
    for one in split.rounds:
        sites = [{site_of[patient] for patient in one.part(part)} for part in PARTS]
        assert sum(map(len, sites)) == len(set.union(*sites)) == 7


def test_sites_of_one_patient_stay_together() -> None:
    rows = one_each([f"p{n}" for n in range(12)])
    rows = [row.model_copy(update={"site": f"s{n // 2}"}) for n, row in enumerate(rows)]
    joint = CaseRow(row=14, path=Path("/x"), item="x", case="x", patient="p0", site="s5")
    split = make_split([*rows, joint], SplitPlan(group="site", folds=2))
    for one in split.rounds:
        part = next(name for name in PARTS if "p0" in one.part(name))
        assert {"p1", "p10", "p11"} <= set(one.part(part))


def test_no_part_is_empty_where_sites_are_few() -> None:
    rows = one_each([f"p{n}" for n in range(30)], label="a")
    rows = [row.model_copy(update={"site": f"s{n % 3}"}) for n, row in enumerate(rows)]
    one = make_split(rows, SplitPlan(group="site")).rounds[0]
    assert [len(one.part(part)) for part in PARTS] == [10, 10, 10]


def test_the_given_test_set_is_kept() -> None:
    rows = rows_of(30)
    official = {f"p{n}" for n in range(8)}
    rows = [
        row.model_copy(update={"split": "test" if row.patient in official else "train"})
        for row in rows
    ]
    split = make_split(rows, SplitPlan(given="test", repeats=3))
    assert {one.test for one in split.rounds} == {tuple(sorted(official))}
    assert len({one.validation for one in split.rounds}) == 3


def test_equal_repeats_are_named() -> None:
    rows = one_each(["a", "b", "c"])
    rows = [row.model_copy(update={"site": row.patient}) for row in rows]
    split = make_split(rows, SplitPlan(group="site", repeats=30))
    assert any("is the same as repeat 0" in note for note in split.notes)


def test_a_split_reads_back_and_says_what_it_holds(tmp_path: Path) -> None:
    rows = rows_of(30)
    split = make_split(rows, SplitPlan(folds=3))
    write_split(split, tmp_path / "split.json")
    write_split(split, tmp_path / "split.json")  # the same again is no conflict
    assert read_split(tmp_path / "split.json", rows[::-1]) == split
    text = split_text(split)
    assert "repeat 0, fold 2:" in text
    assert f"{split.rounds[0].counts['test'].patients} patients" in text
    with pytest.raises(RefusedInputError, match="it stays, as results may rest on it"):
        write_split(make_split(rows, SplitPlan(folds=4)), tmp_path / "split.json")


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    split = make_split(rows_of(30))
    write_split(split, path)
    one = split.rounds[0]
    moved = one.model_copy(update={"train": one.train[1:], "test": (*one.test, one.train[0])})
    altered = split.model_copy(update={"rounds": (moved,)})
    path.write_text(altered.model_dump_json())
    with pytest.raises(CorruptResultError, match="was altered"):
        read_split(path)


def test_a_patient_in_two_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    split = make_split(rows_of(30))
    one = split.rounds[0]
    torn = one.model_copy(update={"test": (*one.test, one.train[0])})
    path.write_text(split.model_copy(update={"rounds": (torn,)}).model_dump_json())
    with pytest.raises(RefusedInputError, match=f"patient {one.train[0]} is in train and in test"):
        read_split(path)


def test_a_lost_patient_and_a_torn_site_are_refused() -> None:
    split = make_split(rows_of(40), SplitPlan(group="site"))
    one = split.rounds[0]
    lost = one.model_copy(update={"train": one.train[1:]})
    with pytest.raises(ValueError, match="1 patients are in no part"):
        Split.model_validate(split.model_copy(update={"rounds": (lost,)}).model_dump())
    first, last = one.train[0], one.test[0]
    torn = one.model_copy(update={"train": (*one.train[1:], last), "test": (*one.test[1:], first)})
    with pytest.raises(ValueError, match=r"site site-. is in train and in test"):
        Split.model_validate(split.model_copy(update={"rounds": (torn,)}).model_dump())


def test_a_manifest_that_changed_is_named(tmp_path: Path) -> None:
    path, rows = tmp_path / "split.json", rows_of(30)
    write_split(make_split(rows), path)
    moved = [row.model_copy(update={"path": Path("/elsewhere") / row.item}) for row in rows]
    read_split(path, moved)  # files may move
    changed = [rows[0].model_copy(update={"site": "other"}), *rows[1:-1]]
    with pytest.raises(RefusedInputError, match=r"c0-0.*say otherwise|are gone.*say otherwise"):
        read_split(path, changed)
    with pytest.raises(RefusedInputError, match=r"1 cases are new \(new\)"):
        read_split(path, [*rows, *one_each(["new"])])


def test_no_file_is_no_split(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="medconsist manifest split"):
        read_split(tmp_path / "no.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(RefusedInputError, match="is missing"):
        read_split(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("rows", "plan", "said"),
    [
        (one_each(["a", "b"]), SplitPlan(), "1 patients cannot make 2 parts beside the test"),
        (one_each(["a", "b", "c"]), SplitPlan(folds=5), "3 patients cannot make 5 folds"),
        (one_each(["a", "b", "c"]), SplitPlan(group="site"), "rows 2, 3 and 4 name no site"),
        (one_each(["a", "b", "c"], site="x"), SplitPlan(group="site"), "1 sites .* cannot make 2"),
        (one_each(["a", "b", "c"]), SplitPlan(given="test"), "no row says test"),
        (one_each(["a", "b", "c"]), SplitPlan(label="lable"), "Did you mean 'label'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_split_is_refused(rows: list[CaseRow], plan: SplitPlan, said: str) -> None:
    with pytest.raises(RefusedInputError, match=said):
        make_split(rows, plan)


def test_a_case_of_two_labels_is_refused() -> None:
    rows = rows_of(10)
    twin = rows[0].model_copy(update={"label": "other", "item": "twin", "row": 99})
    with pytest.raises(RefusedInputError, match=r"row 99, column label: case c0-0 has 2 labels"):
        make_split([*rows, twin])


def test_missing_labels_and_classes_are_notes() -> None:
    rows = [row.model_copy(update={"label": None}) for row in rows_of(20)]
    rows[0] = rows[0].model_copy(update={"label": "rare"})
    rows = [row for row in rows if row.case == "c0-0" or row.patient != "p0"]
    notes = make_split(rows).notes
    assert any("cases have no label" in note for note in notes)
    assert any("has no case of rare" in note for note in notes)


def test_a_given_test_and_folds_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        SplitPlan(given="test", folds=3)


def test_a_round_with_a_patient_twice_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="patient p1 is in train and in test"):
        Round(repeat=0, train=("p1",), validation=(), test=("p1",), counts={})
