"""The bench of the alarms plants what it says, looks with the real readers, and counts exactly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.report import exact_binomial_interval
from medconsist.mri.learned.model import load_model
from medconsist.mri.readers import read_kspace
from medconsist.mri.scan_file import write_scan
from medconsist.results.bench import BenchReport
from medconsist.timeseries.simulated.faults import swap_electrodes
from medconsist.timeseries.simulated.leads import LEADS
from medconsist.viewing.alarm_fault_rows import FAULT_CASES, RAISED, fault_rows
from medconsist.viewing.alarm_list import ALARMS
from medconsist.viewing.bench import alarm_faults
from medconsist.viewing.bench.alarm_faults import ENTRIES, run_bench, seed_of
from medconsist.viewing.bench.faults import scans, signals, slides, stored
from medconsist.viewing.bench.faults.entry import Entry, Spot
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide

QUICK = ("stored_bytes", "test_reopened", "no_card")
Spots = Callable[..., Spot]


@pytest.fixture
def spot(tmp_path: Path) -> Spots:
    def make(name: str = "case", seed: int = 3) -> Spot:
        room, shared = tmp_path / name, tmp_path / "shared"
        room.mkdir()
        shared.mkdir(exist_ok=True)
        return Spot(room=room, shared=shared, seed=seed)

    return make


@pytest.fixture(scope="module")
def report() -> BenchReport:
    return run_bench(draws=2, alarms=QUICK, workers=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds one stored result, for all."""
    shared: Path = tmp_path_factory.mktemp("shared")
    (shared / "_write_result").mkdir()
    stored._write_result(shared / "_write_result")
    return shared


def test_every_case_that_is_named_is_made_and_no_other() -> None:
    assert FAULT_CASES.keys() == ENTRIES.keys()
    assert FAULT_CASES.keys() <= {alarm.name for alarm in ALARMS}
    for alarm, cases in FAULT_CASES.items():
        assert [case.name for case in cases] == list(ENTRIES[alarm].make), alarm
        assert {case.rate for case in cases} == {"false", "true"}, alarm
        names = [case.row_name(alarm) for case in cases]
        assert len(set(names)) == len(names)


def test_a_row_for_each_kind_of_case_with_its_exact_interval(report: BenchReport) -> None:
    wanted = [row.case for alarm in QUICK for row in fault_rows(alarm)]
    assert [row.case for row in report.rows] == wanted
    for row in report.rows:
        share = exact_binomial_interval(round(row.value * row.n), row.n, unit="")
        assert (row.metric, row.n) == (RAISED, 2)
        assert (row.ci_low, row.ci_high) == (share.ci_low, share.ci_high)


def test_what_holds_by_construction_is_seen(report: BenchReport) -> None:
    """A deleted record of openings is not: the record is no lock, and the table says so."""
    found = {row.case: row.value for row in report.rows}
    for alarm in QUICK:
        for case in FAULT_CASES[alarm]:
            expected = case.rate == "true" and case.name != "deleted"
            assert found[case.row_name(alarm)] == expected, (alarm, case.name)


def test_a_case_that_is_none_of_its_kind_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_spot: Spot) -> None:
        return None

    def odd(spot: Spot) -> int | None:
        return spot.seed if spot.seed % 2 else None

    entry = Entry(unit="number", n=40, make={"with_card": odd, "without": none}, raised=bool)
    monkeypatch.setattr(alarm_faults, "ENTRIES", {"no_card": entry})
    seeds = [seed_of("no_card", "with_card", number, seed=0) for number in range(40)]
    (row,) = run_bench(alarms=("no_card",), workers=1).rows  # none is left of the other kind
    assert row.n == sum(seed % 2 for seed in seeds) < 40


def test_no_two_kinds_of_case_share_their_draws() -> None:
    seeds = {
        seed_of(alarm, case.name, number, seed=0)
        for alarm, cases in FAULT_CASES.items()
        for case in cases
        for number in range(20)
    }
    assert len(seeds) == 20 * sum(map(len, FAULT_CASES.values()))


@pytest.mark.parametrize(
    "facts", [{"draws": 0}, {"workers": 0}, {"alarms": ("nothing",)}], ids=lambda facts: str(facts)
)
def test_what_cannot_be_run_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(RefusedInputError, match="allowed: "):
        run_bench(**facts)


@pytest.mark.parametrize("damage", ["none", "bit_of_json", "bit_of_array", "cut", "gone"])
def test_damage_is_of_one_file(written: Path, tmp_path: Path, damage: stored.Damage) -> None:
    before = written / "_write_result" / "results"
    after = stored._damaged(Spot(room=tmp_path, shared=written, seed=3), damage=damage)
    files = [path.relative_to(before) for path in before.rglob("*") if path.is_file()]
    changed = [
        path
        for path in files
        if not (after / path).is_file()
        or (after / path).read_bytes() != (before / path).read_bytes()
    ]
    assert len(changed) == (damage != "none")


def test_formats_say_what_they_are_meant_to(spot: Spots) -> None:
    known = read_kspace(scans.write_scan_file(spot("a"), "ismrmrd"))
    mirrored = read_kspace(scans.write_scan_file(spot("b"), "ismrmrd", turn=-1.0))
    doubled = read_kspace(scans.write_scan_file(spot("c"), "ismrmrd", stretch=2.0))
    blind = read_kspace(scans.write_scan_file(spot("d"), "ismrmrd", has_directions=False))
    lost = read_kspace(scans.write_scan_file(spot("e"), "ismrmrd", has_spacing=False))
    assert known.affine is not None
    assert mirrored.affine is not None
    torch.testing.assert_close(mirrored.affine[:3, 0], -known.affine[:3, 0])  # of the columns
    torch.testing.assert_close(mirrored.affine[:3, 1], known.affine[:3, 1])
    assert known.voxel_size_mm[1:] == pytest.approx((7.2, 7.2))
    assert doubled.voxel_size_mm[1:] == pytest.approx((14.4, 14.4))
    assert blind.affine is None
    assert lost.voxel_size_mm[1:] == (None, None)
    torch.testing.assert_close(
        known.data, read_kspace(scans.write_scan_file(spot("f"), "numpy")).data
    )


def test_networks_differ_in_what_they_say_alone(tmp_path: Path) -> None:
    scans._write_networks(tmp_path)
    records = {path.stem: load_model(path).record for path in tmp_path.glob("*.safetensors")}
    assert (records["card"].card, records["bare"].card) == ("card.md", None)
    labelled = {name: bool(record.label) for name, record in records.items()}
    assert labelled == {"card": False, "bare": False, "simulation": True, "then_scan": True}


def test_recordings_are_swapped_or_noisier_and_else_the_same(spot: Spots) -> None:
    clean, swapped, noisy = (
        signals._recordings(spot(fault), fault) for fault in ("none", "swap", "device")
    )
    for before, after, other in zip(clean, swapped, noisy, strict=True):
        np.testing.assert_allclose(after.read()[:, 0], -before.read()[:, 0], atol=1e-6)
        back = swap_electrodes(after.read(), channels=LEADS, first="RA", second="LA")
        np.testing.assert_allclose(back, before.read(), atol=1e-5)
        added = other.read() - before.read()
        assert added.std() == pytest.approx(signals._DEVICE_MV, rel=0.1)


def test_hearts_with_swapped_arms_are_told_by_the_reader(spot: Spots) -> None:
    plain = signals._heart(spot("a"), spread=1.0, is_swapped=False)
    swapped = signals._heart(spot("b"), spread=1.0, is_swapped=True)
    assert [signals._says_swapped(one) for one in (plain, swapped)] == [False, True]


def test_one_pixel_is_off_and_no_other(spot: Spots) -> None:
    reference = OpenSlideSlide(slides._slide(spot(), width=128, height=128, tile=64))
    with reference:
        altered = slides._OnePixelOff(reference, 70, 90)
        wanted, seen = (one.read_region(0, 64, 64, 64, 64) for one in (reference, altered))
        assert np.argwhere(wanted != seen).tolist() == [[90 - 64, 70 - 64, 1]]
        assert (
            altered.read_region(0, 0, 0, 64, 64) == reference.read_region(0, 0, 0, 64, 64)
        ).all()


def test_deflated_tiles_are_left_to_openslide_and_jpeg_is_not(spot: Spots) -> None:
    assert slides._notes_of(spot("a"), suffix=None)
    assert not slides._notes_of(spot("b"), suffix=".svs")


@pytest.mark.parametrize("factor", [None, 100.0], ids=["none", "implausible"])
def test_a_slide_without_a_usable_mpp_is_refused(spot: Spots, factor: float | None) -> None:
    assert slides._of_mpp(spot(), suffix=".tif", factor=factor)


def test_noise_alone_has_nothing_of_the_scan(spot: Spots) -> None:
    scan = scans._scan(spot(), acceleration=2.0)
    noise = scans._of_noise(scan, spot("b"))
    assert (noise.kspace.mask == scan.kspace.mask).all()
    seen = scan.kspace.mask[:, None].expand_as(scan.kspace.data)
    one, other = (part.kspace.data[seen] for part in (scan, noise))
    likeness = (one.conj() * other).sum().abs() / (one.norm() * other.norm())
    assert float(likeness) < 0.1
    assert replace(noise, kspace=scan.kspace).reference is scan.reference


def test_the_error_of_each_image_is_that_beside_the_reference(spot: Spots) -> None:
    """The image that is shown first is not always the network's: roles, not order, decide."""
    here = spot()
    scan = scans._scan(here, size=32, coils=4, acceleration=2.0)
    path = here.room / "scan.h5"
    write_scan(scan, path)
    result = scans.reconstructed(path, method=scans._shipped())
    found = scans._errors(result)
    said = {metric.role: metric.value for metric in result.result.metrics if metric.name == "nmse"}
    first, second = (
        said["reconstruction"],
        next(v for k, v in said.items() if k != "reconstruction"),
    )
    turned = "cirim" in said
    assert (found.network, found.yardstick) == pytest.approx(
        (second, first) if turned else (first, second)
    )
