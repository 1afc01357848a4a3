"""The record of a calibration: frozen, hashed, refused for another method."""

import json
from pathlib import Path

import pytest
import torch

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.mri.uncertainty.calibration import (
    Calibration,
    Wanted,
    calibrate,
    read_calibration,
)

SETTINGS = {"method": {"name": "cs", "sets": (1, 2)}, "uncertainty": {"kind": "replica"}}


@pytest.fixture
def made(generator: torch.Generator) -> Calibration:
    ratios = [torch.rand(30, generator=generator).sort().values for _ in range(12)]
    names = [f"scan-{i}" for i in range(12)]
    return calibrate(ratios, Wanted(alpha=0.2), scans=names, settings=SETTINGS)


def test_a_record_comes_back_as_it_was_saved(made: Calibration, tmp_path: Path) -> None:
    made.save(tmp_path / "c.json")
    assert read_calibration(tmp_path / "c.json") == made
    assert made.n == 12
    assert "valid under exchangeability only" in made.words
    assert "80% over calibration and new scan, at least 90% of the object's pixels" in made.words


def test_words_never_round_a_promise_up() -> None:
    ratios, names = [torch.rand(4).sort().values for _ in range(40)], [str(i) for i in range(40)]
    some = calibrate(ratios, Wanted(alpha=0.025, share=0.005), scans=names, settings={})
    assert "with probability 97.5% over" in some.words
    assert "at least 99.5% of" in some.words
    mean = calibrate(ratios, Wanted(promise="pixels", alpha=0.025), scans=names, settings={})
    assert "is at most 2.5%" in mean.words


def test_a_record_that_was_changed_is_refused(made: Calibration, tmp_path: Path) -> None:
    made.save(tmp_path / "c.json")
    values = json.loads((tmp_path / "c.json").read_text())
    (tmp_path / "c.json").write_text(json.dumps(values | {"factor": 0.5}))
    with pytest.raises(RefusedInputError, match="was changed after it was made"):
        read_calibration(tmp_path / "c.json")


def test_it_is_for_the_settings_that_it_was_made_with(made: Calibration) -> None:
    made.refuse_other({"uncertainty": {"kind": "replica"}, "method": SETTINGS["method"]})
    with pytest.raises(RefusedInputError, match=r"is for uncertainty .*'replica'.* got .*'splits'"):
        made.refuse_other({**SETTINGS, "uncertainty": {"kind": "splits"}})
    with pytest.raises(RefusedInputError, match="is for combine None, got sense"):
        made.refuse_other({**SETTINGS, "combine": "sense"})


def test_another_scan_makes_another_id(generator: torch.Generator) -> None:
    ratios = [torch.rand(30, generator=generator) for _ in range(9)]
    one, other = (
        calibrate(ratios, Wanted(promise="pixels"), scans=names, settings={})
        for names in (list("abcdefghi"), list("abcdefghj"))
    )
    assert one.factor == other.factor
    assert one.id != other.id
    assert "expected share of the object's pixels whose magnitude is off by more" in one.words


def test_too_few_scans_make_no_calibration(tmp_path: Path) -> None:
    ratios = [torch.rand(4) for _ in range(8)]
    with pytest.raises(RefusedInputError, match=r"8 scans .* factor inf at alpha 0.1"):
        calibrate(ratios, Wanted(), scans=list("abcdefgh"), settings={})
    with pytest.raises(RefusedInputError, match="8 scans with 1 names"):
        calibrate(ratios, Wanted(alpha=0.5), scans=["a"], settings={})
    with pytest.raises(MissingInputError, match="there is no calibration"):
        read_calibration(tmp_path / "none.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(RefusedInputError, match=r"other\.json"):
        read_calibration(tmp_path / "other.json")
