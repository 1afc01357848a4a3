"""The networks: of the size that the views say, each one that can be built."""

import pytest

from medconsist.errors import RefusedInputError
from medconsist.mri.benchmark.design import Design
from medconsist.mri.benchmark.entrants import ENTRANTS, parameters_of
from medconsist.mri.cirim.config import CirimConfig

WANTED = parameters_of(CirimConfig())


@pytest.mark.parametrize("name", [n for n, one in ENTRANTS.items() if "parameters" in one.views])
def test_equal_parameters_are_equal_to_a_tenth(name: str) -> None:
    assert parameters_of(ENTRANTS[name].network) == pytest.approx(WANTED, rel=0.1)


def test_all_networks_of_the_paper_stand_in_the_view_of_equal_time() -> None:
    names = {name for name, one in ENTRANTS.items() if "time" in one.views}
    assert names == {
        *("cirim", "rim", "irim", "varnet", "unet", "cascadenet", "kikinet", "lpdnet"),
    }


def test_forms_of_data_consistency_differ_in_nothing_else() -> None:
    base = ENTRANTS["cirim"].network.as_dict()
    for name in ("cirim-explicit", "cirim-weighted"):
        other = ENTRANTS[name].network.as_dict()
        assert {key for key, value in other.items() if value != base[key]} == {"consistency"}


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"networks got cirm; allowed: each once, of cirim"):
        Design(networks=("cirm",))


def test_a_network_twice_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="each once"):
        Design(networks=("cirim", "cirim"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 100}, "size got 100; allowed: a multiple of 32"),
        ({"minutes": 0}, "minutes got 0; allowed: a positive number"),
        ({"scans": 1}, "got 1 test scans"),
        ({"training_scans": 0}, "at least 1 scan, 1 slice and 1 step"),
        ({"rates": ()}, "rates got"),
        ({"pilot_share": 1}, "got shares 1 and 0.5"),
        ({"only_cells": ("3-D 8x",)}, "cells got 3-D 8x; allowed: 1-D 4x; 1-D 8x"),
        ({"seed": -1}, "seed got -1"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(RefusedInputError, match=said):
        Design(**change)  # type: ignore[arg-type]  # one setting at a time
