"""Samples and intervals by address: who gets them, and what they are."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medconsist.results.store import StoredResult
from tests.viewing.signal_results import RATE, planted_ecg, write_signals
from tests.viewing.web.asgi import Answer
from tests.viewing.web.test_routes import OFFICE, Site, _ticket

SAMPLES = "signal/0/samples"
PATHS = (SAMPLES, "signal/0/intervals", "signal/0/bands")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResult:
    """Twelve leads."""
    return write_signals(tmp_path_factory.mktemp("results"))


@pytest.fixture
def site(stored: StoredResult) -> Iterator[Site]:
    """The application."""
    site = Site(stored.folder.path.parents[2])
    with closing(site.desk):
        yield site


def values(answer: Answer) -> np.ndarray:
    """Read an answer as the browser does."""
    version, channels, columns, each = np.frombuffer(answer.body[:16], "<u4").tolist()
    assert version == 1
    return np.frombuffer(answer.body[16:], "<f4").reshape(channels, columns, each)


def test_samples_come_exactly_as_they_are_stored(site: Site, stored: StoredResult) -> None:
    answer = site.ask(stored, SAMPLES, start=100, stop=600)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert answer.headers["cache-control"].startswith("private")
    assert np.array_equal(values(answer)[..., 0].T, planted_ecg()[100:600])


def test_an_overview_is_small_and_loses_no_peak(site: Site, stored: StoredResult) -> None:
    answer = site.ask(stored, SAMPLES, start=0, stop=6000, points=100, channel=2)
    shown = values(answer)
    assert shown.shape == (1, 100, 2)
    assert shown.max() == planted_ecg()[:, 2].max()


def test_a_view_is_filtered_and_in_its_montage(site: Site, stored: StoredResult) -> None:
    answer = site.ask(stored, SAMPLES, start=0, stop=6000, above=0.5, below=40, notch=50)
    assert abs(np.median(values(answer)[2])) < abs(np.mean(planted_ecg()[:, 2]))
    assert site.ask(stored, SAMPLES, start=0, stop=9, montage="laplacian").status == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 404),
        ({"start": 0, "stop": 6001}, 400),
        ({"start": 5, "stop": 5}, 400),
        ({"start": -1, "stop": 5}, 404),
        ({"start": 0, "stop": "9" * 5000}, 404),
        ({"start": 0, "stop": 10, "points": 0}, 400),
        ({"start": 0, "stop": 10, "points": 10**11}, 400),
        ({"start": 0, "stop": 10, "channel": 12}, 400),
        ({"start": 0, "stop": 10, "above": "nan"}, 400),
        ({"start": 0, "stop": 10, "above": "-1"}, 400),
        ({"start": 0, "stop": 10, "below": "250"}, 400),
        ({"start": 0, "stop": 10, "below": "x" * 4096}, 400),
        ({"start": 0, "stop": 10, "montage": "<script>"}, 400),
        ({"start": "\u0661", "stop": 10}, 404),
    ],
)
def test_what_cannot_be_asked_is_refused_without_saying_it_back(
    site: Site, stored: StoredResult, query: dict[str, Any], status: int
) -> None:
    answer = site.ask(stored, SAMPLES, **query)
    assert answer.status == status
    assert answer.headers["cache-control"] == "no-store"
    assert b"script" not in answer.body


@pytest.mark.parametrize("path", ["signal/1/samples", "signal/x/samples", "signal/-1/samples"])
def test_another_recording_is_not_there(site: Site, stored: StoredResult, path: str) -> None:
    assert site.ask(stored, path, start=0, stop=9).status == 404


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("ticket", ["", "x", "a.b.c"])
def test_without_a_ticket_there_is_nothing(
    site: Site, stored: StoredResult, path: str, ticket: str
) -> None:
    assert site.ask_with(ticket, stored, path, start=0, stop=9).status == 403


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("other", [{"study": "other"}, {"case": "other"}, {"key": "9" * 64}])
def test_a_foreign_ticket_gives_nothing(
    site: Site, stored: StoredResult, path: str, other: dict[str, Any]
) -> None:
    ticket = OFFICE.sign(replace(_ticket(stored), **other))
    assert site.ask_with(ticket, stored, path, start=0, stop=9).status == 403


@pytest.mark.parametrize("path", PATHS)
def test_a_right_that_was_taken_away_ends_at_once(
    site: Site, stored: StoredResult, path: str
) -> None:
    site.allowed = False
    assert site.ask(stored, path, start=0, stop=9).status == 403


def test_a_sealed_ticket_gives_samples_and_no_measured_interval(
    site: Site, stored: StoredResult
) -> None:
    ticket = OFFICE.sign(replace(_ticket(stored), purpose="sealed"))
    answer = site.ask_with(ticket, stored, SAMPLES, start=0, stop=9)
    assert np.array_equal(values(answer)[..., 0].T, planted_ecg()[:9])
    assert site.ask_with(ticket, stored, "signal/0/intervals").status == 403


def test_intervals_are_numbers_or_the_reason_why_there_are_none(
    site: Site, stored: StoredResult, tmp_path: Path
) -> None:
    found = json.loads(site.ask(stored, "signal/0/intervals").body)
    # two leads of twelve hold pulses, not beats
    assert found["rr_ms"] == pytest.approx(800, abs=1)
    assert found["said"] == "automatic, unchecked"
    slow = write_signals(tmp_path, signals=[planted_ecg()[::5].copy()], rate=RATE / 5)
    refused = json.loads(Site(tmp_path).ask(slow, "signal/0/intervals").body)
    assert refused["marks"] == []
    assert "100 Hz" in refused["words"]


def test_a_damaged_recording_is_not_drawn(tmp_path: Path) -> None:
    stored = write_signals(tmp_path)
    for file in (stored.folder.path / "signal_0.zarr").rglob("*"):
        if file.is_file() and file.name != "zarr.json":
            file.write_bytes(b"other bytes")
    answer = Site(tmp_path).ask(stored, SAMPLES, start=0, stop=9)
    assert answer.status >= 400
    assert str(tmp_path).encode() not in answer.body


def bands(site: Site, stored: StoredResult, **query: Any) -> dict[str, Any]:
    answer = site.ask(stored, "signal/0/bands", **query)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = json.loads(answer.body)
    return found


@pytest.mark.parametrize(("unit", "cell"), [("uV", "450 · 100.0 %"), (None, "100.0 %")])
def test_band_power_is_of_what_is_seen_and_without_a_unit_a_share_alone(
    tmp_path: Path, unit: str | None, cell: str
) -> None:
    time = np.arange(2500) / 250
    ten_hertz = np.where(time < 5, 30 * np.sin(2 * np.pi * 10 * time), 0)
    waves = np.stack([ten_hertz, np.full(2500, 7.0)], axis=1).astype(np.float32)
    one = write_signals(tmp_path, signals=[waves], leads=("Fz", "Cz"), unit=unit, rate=250.0)
    site = Site(tmp_path)
    with closing(site.desk):
        found = bands(site, one, start=0, stop=4)
        assert found["rows"][0][0] == "Fz"
        assert found["rows"][0][3] == cell
        assert found["rows"][0][1] == ("0.0 %" if unit is None else "<0.001 · 0.0 %")
        assert found["head"][3] == "alpha 8-13 Hz"
        assert found["rows"][1][1:] == ["no power"] * 4
        assert ("unit unknown" in found["words"]) == (unit is None)
        assert "from 0.00 to 4.00 s" in found["words"]
        assert bands(site, one, start=6, stop=99)["rows"][0][1:] == ["no power"] * 4
        without = bands(site, one, start=0, stop=4, notch=10, below=40)["rows"][0][3]
        assert (without != cell) == (unit is not None)  # it is all that there is, however little
        for query in ({}, {"start": 0, "stop": 1}, {"start": "nan", "stop": 9}):
            assert site.ask(one, "signal/0/bands", **query).status == 400
        assert site.ask(one, "signal/0/bands", start=9, stop=1).status == 400


def test_a_sealed_ticket_gives_no_band_power(site: Site, stored: StoredResult) -> None:
    ticket = OFFICE.sign(replace(_ticket(stored), purpose="sealed"))
    assert site.ask_with(ticket, stored, "signal/0/bands", start=0, stop=9).status == 403
