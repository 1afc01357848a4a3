"""Maps of uncertainty and calibrations from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from medconsist.mri.scan_series import Series, write_series
from medconsist.results.store import ResultStore
from tests.cli.conftest import Program


@pytest.fixture
def scans(tmp_path: Path) -> list[Path]:
    series = Series(scans=2, slices=1, size=40, coils=3, acceleration=2.0)
    return write_series(series, tmp_path / "scans")


def test_a_map_is_calibrated_on_references_and_read_back(
    scans: list[Path], tmp_path: Path, program: Program
) -> None:
    asked = ("--method", "zerofilled", "--uncertainty", "replica", "--replicas", 2)
    for scan in scans:
        answer = program("mri", "reconstruct", scan, "--out", tmp_path / "out", *asked)
        assert answer.code == 0, answer.err
    file = tmp_path / "c.json"
    words = ("mri", "calibrate", tmp_path / "out", "--out", file, "--alpha", 0.5)
    said = json.loads(program(*words, "--json").out)
    assert said["n"] == 2
    assert program(*words).out.splitlines()[-1] == str(file)

    once = (*asked, "--calibration", file, "--out", tmp_path / "new")
    text = program("mri", "reconstruct", scans[0], *once).out
    assert "at least 90% of the object's pixels" in text
    assert "valid under exchangeability only" in text
    before, after = (
        ResultStore(tmp_path / name, "mri").read("scan-000").array("uncertainty")
        for name in ("out", "new")
    )
    assert float(np.max(after)) >= said["factor"] * float(np.max(before)) * (1 - 1e-4)

    other = program(
        *("mri", "reconstruct", scans[0], "--out", tmp_path / "cg", "--method", "cgsense"),
        *("--uncertainty", "replica", "--replicas", 2, "--calibration", file),
    )
    assert other.code == 2
    assert "A factor means nothing for another method" in other.err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--replicas", 3), "--replicas goes with --uncertainty"),
        (("--calibration", "c.json"), "--calibration goes with --uncertainty"),
        (("--uncertainty", "steps", "--replicas", 3), "leave --replicas out"),
        (("--uncertainty", "steps"), "--uncertainty steps is of a network, got --method cs"),
        (("--uncertainty", "splits", "--calibration", "c.json"), "there is no calibration"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    flags: tuple[object, ...], sentence: str, scan: Path, tmp_path: Path, program: Program
) -> None:
    answer = program("mri", "reconstruct", scan, "--out", tmp_path / "out", *flags)
    assert answer.code in (1, 2)
    assert sentence in answer.err
    assert not (tmp_path / "out").exists()


def test_a_share_belongs_to_the_promise_over_scans(tmp_path: Path, program: Program) -> None:
    words = ("mri", "calibrate", tmp_path, "--out", tmp_path / "c.json", "--promise", "pixels")
    assert "leave it out" in program(*words, "--share", 0.2).sentence
