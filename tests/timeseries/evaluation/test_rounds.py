"""Rounds keep patients whole, are sealed, and refuse what cannot be judged."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medconsist._records import make_record
from medconsist.errors import CorruptResultError, MissingInputError, RefusedInputError
from medconsist.timeseries.evaluation.rounds import (
    PatientRound,
    RoundsPlan,
    digest_of_patients,
    make_rounds,
    pairs_of,
)
from medconsist.timeseries.evaluation.rounds_file import read_rounds, write_rounds
from medconsist.timeseries.window_set import WindowTable
from tests.timeseries.evaluation.patients import simulated

TABLE = simulated(patients=16).table
NAMES = set(TABLE.patients)


def relabelled(labels: list[int]) -> WindowTable:
    return replace(TABLE, label=np.array(labels)[TABLE.patient])


@pytest.mark.parametrize("seed", range(5))
def test_folds_test_each_patient_once_and_balance_the_classes(seed: int) -> None:
    made = make_rounds(TABLE, RoundsPlan(folds=4, repeats=2, validation=0.25, seed=seed))
    for repeat in range(2):
        rounds = [one for one in made.rounds if one.repeat == repeat]
        assert Counter(name for one in rounds for name in one.test) == Counter(NAMES)
        for one in rounds:
            assert {*one.train, *one.validation, *one.test} == NAMES
            assert one.validation
            assert one.learn == one.train
            assert sum(TABLE.patients.index(name) % 2 for name in one.test) == 2


def test_repeats_and_seeds_deal_other_folds() -> None:
    first = make_rounds(TABLE, RoundsPlan(repeats=2))
    assert {one.test for one in first.rounds[:4]} != {one.test for one in first.rounds[4:]}
    assert first.sha256 == make_rounds(TABLE, RoundsPlan(repeats=2)).sha256
    assert first.sha256 != make_rounds(TABLE, RoundsPlan(repeats=2, seed=1)).sha256


def test_pairs_are_all_pairs_and_everyone_else_trains() -> None:
    made = make_rounds(TABLE, RoundsPlan(kind="pairs"))
    assert len(made.rounds) == 64
    assert len({frozenset(one.test) for one in made.rounds}) == 64
    for one in made.rounds:
        positive, negative = (TABLE.patients.index(name) % 2 for name in one.test)
        assert (positive, negative) == (1, 0)
        assert set(one.train) == NAMES - set(one.test)


def test_blocks_learn_few_representations_that_never_see_the_pair() -> None:
    made = make_rounds(TABLE, RoundsPlan(kind="pairs", blocks=4))
    assert len({one.learn for one in made.rounds}) <= 6
    for one in made.rounds:
        assert set(one.learn) < set(one.train)
        assert not set(one.learn) & set(one.test)
        assert len(one.learn) == 8
    # other labels, other pairs, the same representations
    order = np.random.default_rng(0).permutation(TABLE.patient_labels)
    others = pairs_of(made, TABLE, order)
    assert len(others) == 64
    assert {one.learn for one in others} <= {one.learn for one in made.rounds}


def test_validation_of_pairs_is_drawn_from_training_patients() -> None:
    made = make_rounds(TABLE, RoundsPlan(kind="pairs", validation=0.2))
    for one in made.rounds:
        assert one.validation
        assert {*one.train, *one.validation, *one.test} == NAMES


def test_rounds_are_written_once_and_read_back(tmp_path: Path) -> None:
    path, made = tmp_path / "rounds.json", make_rounds(TABLE, fingerprint="ab")
    write_rounds(made, path)
    write_rounds(made, path)
    assert read_rounds(path, TABLE) == made
    with pytest.raises(RefusedInputError, match="holds something else"):
        write_rounds(make_rounds(TABLE, RoundsPlan(seed=1)), path)
    with pytest.raises(RefusedInputError, match=r"as \.json"):
        write_rounds(made, tmp_path / "rounds.txt")
    with pytest.raises(MissingInputError, match="no rounds"):
        read_rounds(tmp_path / "other.json")


def test_altered_rounds_and_other_patients_are_refused(tmp_path: Path) -> None:
    path, made = tmp_path / "rounds.json", make_rounds(TABLE)
    write_rounds(made, path)
    other = relabelled([1 - n % 2 for n in range(16)])
    with pytest.raises(RefusedInputError, match="other patients"):
        read_rounds(path, other)
    assert digest_of_patients(TABLE) != digest_of_patients(other)
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(CorruptResultError, match="was altered"):
        read_rounds(path)


def test_one_patient_one_class_and_a_class_absent_from_a_fold_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="1 patients with windows and a label"):
        make_rounds(TABLE.take(np.flatnonzero(TABLE.patient == 3)))
    with pytest.raises(RefusedInputError, match=r"of the classes \['case'\]"):
        make_rounds(relabelled([1] * 16))
    with pytest.raises(RefusedInputError, match="hold none of class case; take fewer folds"):
        make_rounds(relabelled([1, 1] + [0] * 14))
    with pytest.raises(RefusedInputError, match="two classes of two patients"):
        make_rounds(relabelled([1] + [0] * 15), RoundsPlan(kind="pairs"))
    with pytest.raises(RefusedInputError, match="17 blocks of 16 patients"):
        make_rounds(TABLE, RoundsPlan(kind="pairs", blocks=17))
    with pytest.raises(RefusedInputError, match="blocks are for pairs"):
        make_record(RoundsPlan, blocks=4)


def test_unlabelled_patients_are_in_no_part_and_said() -> None:
    made = make_rounds(relabelled([-1, -1] + [n % 2 for n in range(14)]))
    assert all("p00" not in {*one.train, *one.test} for one in made.rounds)
    assert "2 patients have windows and no label" in made.notes[0]


def test_a_patient_in_two_parts_makes_no_round() -> None:
    with pytest.raises(RefusedInputError, match="patient a is in two parts"):
        make_record(PatientRound, repeat=0, number=0, train=("a", "b"), learn=("b",), test=("a",))
    with pytest.raises(RefusedInputError, match="would see patient c"):
        make_record(PatientRound, repeat=0, number=0, train=("a",), learn=("c",), test=("b",))
