"""Rows over draws: what one draw is, and who is said to be ahead."""

import pytest

from medconsist.metrics.report import t_interval
from medconsist.results.draw_table import Contrast, Figures, table


def draws(*pairs: tuple[float, float]) -> list[Figures]:
    found = []
    for first, second in pairs:
        one = Figures()
        one.add("a", "new", "error", first)
        one.add("a", "old", "error", second)
        found.append(one)
    return found


@pytest.mark.parametrize(("better", "name"), [("higher", "new"), ("lower", "old")])
def test_the_better_figure_is_ahead(better: str, name: str) -> None:
    contrast = Contrast("a", "error", "new", "old", better=better)  # type: ignore[arg-type]  # of two
    found = table("t", draws((3.0, 1.0), (3.1, 1.0), (3.2, 1.0)), [contrast], seed=0)
    assert found.rows[-1].case == f"t, a, new less old (paired): {name} ahead"


def test_an_interval_that_holds_zero_shows_no_difference() -> None:
    contrast = Contrast("a", "error", "new", "old", better="higher")
    found = table("t", draws((1.1, 1.0), (0.9, 1.0), (1.05, 1.0)), [contrast], seed=0)
    assert found.rows[-1].case == "t, a, new less old (paired): no difference shown"


def test_nothing_is_said_of_one_draw_or_unless_asked() -> None:
    alone = t_interval([0.2], unit="scan")
    assert not Contrast("a", "error", "new", "old", better="higher").verdict(alone)
    found = table(
        "t", draws((3.0, 1.0), (3.1, 1.0)), [Contrast("a", "error", "new", "old")], seed=0
    )
    assert found.rows[-1].case == "t, a, new less old (paired)"


def test_rows_carry_the_unit_that_they_are_over() -> None:
    fixed = Contrast("a", "error", "new", "old", is_fixed=True)
    some = draws((3.0, 1.0), (3.1, 1.0))
    assert {row.unit_of_analysis for row in table("t", some, [fixed], seed=0).rows} == {
        "dataset draw"
    }
    rows = table("t", some, [fixed], seed=0, unit="scan").rows
    assert len(rows) == 4
    assert {row.unit_of_analysis for row in rows} == {"scan"}
