"""Copies on a fast disk: the right bytes, within the budget, gone afterwards."""

from pathlib import Path

import pytest

from medconsist.batch.local import LocalEngine
from medconsist.batch.prefetch import Prefetch
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from medconsist.batch.work import Case
from medconsist.errors import RefusedInputError
from tests.batch.toy import STUDY, Toy, cases_in, stored


def file_cases(folder: Path, sizes: list[int]) -> list[Case]:
    folder.mkdir()
    cases = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.svs"
        path.write_bytes(bytes([number]) * size)
        cases.append(Case(id=f"c{number}", input=str(path), size=size, one_file=True))
    return cases


def test_the_next_cases_get_copies_of_their_bytes_within_the_budget(tmp_path: Path) -> None:
    cases = file_cases(tmp_path / "slow", [10, 40, 40, 40])
    fast = Prefetch(tmp_path / "fast", budget_bytes=90)
    first = fast.take(cases[0], coming=cases[1:])
    fast._pool.submit(int).result()  # all copies that were asked for are made
    assert first.copy == ""
    held = sorted(path.name for path in (tmp_path / "fast").rglob("*.svs"))
    assert held == ["1.svs", "2.svs"]
    second = fast.take(cases[1], coming=cases[2:])
    assert second.source.read_bytes() == Path(cases[1].input).read_bytes()
    assert second.digest == cases[1].digest
    assert fast.give_back(second) == cases[1]
    fast.close()
    assert list((tmp_path / "fast").iterdir()) == []


def test_what_cannot_be_copied_is_read_where_it_lies(tmp_path: Path) -> None:
    cases = file_cases(tmp_path / "slow", [10, 10])
    Path(cases[1].input).unlink()
    fast = Prefetch(tmp_path / "fast", budget_bytes=90)
    fast.take(cases[0], coming=cases[1:])
    fast._pool.submit(int).result()
    assert fast.take(cases[1], coming=()).copy == ""
    fast.close()
    with pytest.raises(RefusedInputError, match="prefetch-gib must be positive"):
        Prefetch(tmp_path / "fast", budget_bytes=0)


def test_results_of_copies_are_those_of_the_files(tmp_path: Path) -> None:
    found = []
    for fast in (None, Prefetch(tmp_path / "fast", budget_bytes=10**6)):
        root = tmp_path / ("with" if fast else "without")
        root.mkdir()
        cases = cases_in(tmp_path / "in", 6)
        engine = LocalEngine(workers=1, prefetch=fast)
        run_batch(Toy(root), cases, engine=engine, folder=batch_folder(root, STUDY))
        found.append(stored(root))
    assert found[0] == found[1]
    assert list((tmp_path / "fast").iterdir()) == []


@pytest.mark.parametrize("budget", [0, float("nan"), float("inf")])
def test_a_budget_that_is_no_number_of_bytes_is_refused(budget: float, tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="positive and finite"):
        Prefetch(tmp_path, budget_bytes=budget)
