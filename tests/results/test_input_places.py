"""Where inputs lie is a hint, believed only while the bytes are the same."""

import hashlib
import os
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from medconsist.errors import StorageError
from medconsist.results.input_places import InputPlaces, _Place


@pytest.fixture
def places(tmp_path: Path) -> InputPlaces:
    """An empty list."""
    return InputPlaces(tmp_path / "study" / "inputs.jsonl")


def _file(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_a_file_is_found_by_its_bytes(places: InputPlaces, tmp_path: Path) -> None:
    digest = _file(tmp_path / "a.svs", b"slide")
    places.add(digest, tmp_path / "a.svs")
    assert places.find(digest) == tmp_path / "a.svs"
    assert places.find("0" * 64) is None


def test_a_file_that_was_changed_or_moved_is_not_found(places: InputPlaces, tmp_path: Path) -> None:
    digest = _file(tmp_path / "a.svs", b"slide")
    places.add(digest, tmp_path / "a.svs")
    assert places.find(digest) is not None
    (tmp_path / "a.svs").write_bytes(b"other bytes")
    assert places.find(digest) is None
    (tmp_path / "a.svs").unlink()
    assert places.find(digest) is None


def test_a_file_whose_time_was_set_back_is_read_again(places: InputPlaces, tmp_path: Path) -> None:
    digest = _file(tmp_path / "a.svs", b"slide")
    places.add(digest, tmp_path / "a.svs")
    assert places.find(digest) is not None
    before = (tmp_path / "a.svs").stat()
    time.sleep(0.02)  # longer than the kernel's clock of files ticks
    (tmp_path / "a.svs").write_bytes(b"other")
    os.utime(tmp_path / "a.svs", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert places.find(digest) is None


def test_of_two_places_the_one_that_holds_it_is_found(places: InputPlaces, tmp_path: Path) -> None:
    digest = _file(tmp_path / "a.svs", b"slide")
    _file(tmp_path / "b.svs", b"slide")
    places.add(digest, tmp_path / "a.svs")
    places.add(digest, tmp_path / "b.svs")
    assert places.find(digest) == tmp_path / "b.svs"
    (tmp_path / "b.svs").unlink()
    assert places.find(digest) == tmp_path / "a.svs"


def test_a_link_that_was_named_stays_a_hint_to_the_file_itself(
    places: InputPlaces, tmp_path: Path
) -> None:
    digest = _file(tmp_path / "a.svs", b"slide")
    (tmp_path / "link.svs").symlink_to(tmp_path / "a.svs")
    places.add(digest, tmp_path / "link.svs")
    assert places.find(digest) == tmp_path / "a.svs"


def test_a_place_is_written_once_also_by_many_at_once(places: InputPlaces, tmp_path: Path) -> None:
    digest = _file(tmp_path / "a.svs", b"slide")
    with ThreadPool(8) as pool:
        pool.map(lambda _: places.add(digest, tmp_path / "a.svs"), range(32))
    assert len(places.path.read_text().splitlines()) == 1


def test_torn_and_foreign_lines_are_no_hints(places: InputPlaces, tmp_path: Path) -> None:
    digest = _file(tmp_path / "a.svs", b"slide")
    places.path.parent.mkdir()
    places.path.write_bytes(b'{"sha256": 3}\nnot json\n\xff\xfe\n{"schema_version": 1, "sha')
    places.add(digest, tmp_path / "a.svs")
    assert places.find(digest) == tmp_path / "a.svs"


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="Could not"):
        InputPlaces(tmp_path / "file" / "inputs.jsonl").add("0" * 64, tmp_path)


def test_a_place_that_cannot_even_be_asked_is_passed_over(
    places: InputPlaces, tmp_path: Path
) -> None:
    digest = _file(tmp_path / "a.svs", b"slide")
    places.add(digest, tmp_path / "a.svs")
    too_long = _Place(sha256=digest, path=str(tmp_path / ("x" * 300)))  # the kernel refuses it
    with places.path.open("a") as file:
        file.write(too_long.model_dump_json() + "\n")
    assert places.unchecked(digest) == [tmp_path / "a.svs"]
    assert places.find(digest) == tmp_path / "a.svs"
