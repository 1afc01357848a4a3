"""A file is there whole or not at all."""

import os
from pathlib import Path

import pytest

from medconsist._atomic import (
    atomic_replace,
    atomic_write_bytes,
    make_folder,
    storage_errors,
)
from medconsist._writers import is_abandoned, writer_tag
from medconsist.errors import MissingInputError, StorageError


def test_new_bytes_replace_old_ones_and_leave_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic_write_bytes(path, b"old")
    atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_keeps_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic_write_bytes(path, b"old")
    stop = KeyboardInterrupt("stop")

    def write_half() -> None:
        with atomic_replace(path) as temporary:
            temporary.write_bytes(b"half")
            raise stop

    with pytest.raises(KeyboardInterrupt, match=r"^stop$"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_temporary_file_of_a_dead_writer_is_cleaned_and_of_a_living_one_kept(
    tmp_path: Path,
) -> None:
    dead = tmp_path / f".a.txt.{writer_tag().replace(f'-{os.getpid()}-', '-4194305-')}.tmp"
    living = tmp_path / f".a.txt.{writer_tag()}.tmp"
    dead.touch()
    living.touch()
    atomic_write_bytes(tmp_path / "a.txt", b"new")
    assert not dead.exists()
    assert living.exists()


def test_a_tag_is_abandoned_only_when_its_process_of_this_machine_has_ended() -> None:
    tag = writer_tag()
    assert not is_abandoned(tag)
    assert not is_abandoned("no-tag")
    assert not is_abandoned("00000000-4194305-00000000")
    assert is_abandoned(tag.replace(f"-{os.getpid()}-", "-4194305-"))


def test_rights_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        atomic_write_bytes(tmp_path / "a.txt", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_an_error_of_the_disk_becomes_one_sentence_with_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Could not write .*: Not a directory\. Check"):
        make_folder(tmp_path / "file" / "below")
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(StorageError, match=r"No space left on device\. Free space on that disk"),
        storage_errors(tmp_path / "x"),
    ):
        full.write(b"x")
    assert StorageError.exit_code == 1


@pytest.mark.parametrize("name", ["file/below", "x" * 250])
def test_a_path_that_cannot_be_is_one_sentence_too(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Could not write"):
        atomic_write_bytes(tmp_path / name, b"")


def test_an_error_of_reading_is_not_called_one_of_writing(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"Could not read .*: No such file.*then run again\.$"),
        storage_errors(tmp_path / "gone", doing="read"),
    ):
        (tmp_path / "gone").read_bytes()


def test_an_error_that_is_already_a_sentence_passes_unchanged(tmp_path: Path) -> None:
    error = MissingInputError("gone")
    with pytest.raises(MissingInputError, match=r"^gone$"), storage_errors(tmp_path):
        raise error
