"""The results folder: written once, verified, read back bit for bit."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medconsist.errors import (
    CorruptResultError,
    MissingInputError,
    RefusedInputError,
    StorageError,
)
from medconsist.results.arrays import read_array, write_array
from medconsist.results.schema import Result, ResultFields
from medconsist.results.store import ResultStore, studies

Write = Callable[..., Result]
MakeFields = Callable[..., ResultFields]
KEY = "0" * 64


def folder_of(store: ResultStore, result: Result) -> Path:
    return store.root / store.study / result.case / result.key


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_result_comes_back_bit_for_bit_with_all_that_is_known(
    store: ResultStore, write: Write, image: Any
) -> None:
    result = write()
    store.set_current("head", result.key)

    stored = store.read("head")

    assert stored.result == result
    assert stored.roles() == ("reconstruction", "reference")
    assert stored.array("reconstruction").dtype == np.complex64
    assert stored.array("reconstruction").tobytes() == image.tobytes()
    assert stored.record("reconstruction").spacing_mm == (None, 1.0, 0.5)
    assert stored.record("reference").unit == "a.u."
    assert stored.record("reference").orientation is None
    assert stored.result.environment.versions["medconsist"]
    assert (store.cases(), store.keys("head"), studies(store.root)) == (
        ["head"],
        [result.key],
        ["demo"],
    )


@settings(max_examples=25, deadline=None)
@given(
    array=hnp.arrays(
        dtype=st.one_of(
            st.just(np.dtype(bool)),
            hnp.integer_dtypes(endianness="?"),
            hnp.unsigned_integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
            hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
        ),
        shape=hnp.array_shapes(min_dims=1, max_dims=4, max_side=5),
    )
)
def test_every_numeric_array_survives_the_disk_with_its_bits(
    tmp_path_factory: pytest.TempPathFactory, array: Any
) -> None:
    path = tmp_path_factory.mktemp("zarr") / "a.zarr"
    native = array.astype(array.dtype.newbyteorder("="))

    write_array(path, array, axes=[f"axis_{i}" for i in range(array.ndim)])

    back = read_array(path, shape=array.shape, dtype=native.dtype.name)
    assert back.dtype == native.dtype
    assert back.tobytes() == native.tobytes()


def test_minus_zero_does_not_come_back_as_plus_zero(tmp_path: Path) -> None:
    array = np.full((2, 3), -0.0)

    write_array(tmp_path / "a.zarr", array, axes=("height", "width"))

    back = read_array(tmp_path / "a.zarr", shape=(2, 3), dtype="float64")
    assert np.signbit(back).all()


def test_an_array_whose_header_disagrees_with_its_record_is_not_read(tmp_path: Path) -> None:
    write_array(tmp_path / "a.zarr", np.ones((2, 3)), axes=("height", "width"))
    with pytest.raises(CorruptResultError, match="but its result says float64"):
        read_array(tmp_path / "a.zarr", shape=(3, 2), dtype="float64")


def test_a_large_array_is_cut_into_chunks_and_still_comes_back_whole(tmp_path: Path) -> None:
    array = np.arange(3 * 700 * 601, dtype=np.float64).reshape(3, 700, 601)

    write_array(tmp_path / "a.zarr", array, axes=("slices", "height", "width"))

    assert np.array_equal(
        read_array(tmp_path / "a.zarr", shape=array.shape, dtype="float64"), array
    )


@pytest.mark.parametrize(
    "array", [np.zeros((0, 3)), np.array(1.0), np.array(["text"]), np.array([object()])]
)
def test_an_array_that_zarr_cannot_hold_exactly_is_refused(tmp_path: Path, array: Any) -> None:
    with pytest.raises(RefusedInputError, match="Cannot store an array of type"):
        write_array(tmp_path / "a.zarr", array, axes=("a",) * array.ndim)


def test_a_rerun_finds_its_result_done_and_changes_nothing(
    store: ResultStore, write: Write
) -> None:
    result = write()
    store.set_current("head", result.key)
    store.remember(result, group="cs")
    before = state_of(store.root)

    assert store.is_done("head", result.key)
    store.set_current("head", result.key)
    assert not store.remember(result, group="cs")
    assert state_of(store.root) == before


def test_a_second_config_leaves_the_first_key_untouched(store: ResultStore, write: Write) -> None:
    first = write(lambda_=0.005)
    before = state_of(folder_of(store, first))

    second = write(lambda_=0.02)
    store.set_current("head", second.key)

    assert second.key != first.key
    assert state_of(folder_of(store, first)) == before
    assert store.keys("head") == sorted([first.key, second.key])


def test_a_key_that_is_written_again_keeps_its_first_bytes(
    store: ResultStore, write: Write
) -> None:
    first = write(seed=1)
    before = state_of(folder_of(store, first))

    again = write(seed=2)

    assert again == first
    assert state_of(folder_of(store, first)) == before


def test_two_tasks_that_make_the_same_key_are_told_so(store: ResultStore, write: Write) -> None:
    write(kind="mri.reconstruction")
    with pytest.raises(RefusedInputError, match="Name the task in the config"):
        write(kind="mri.simulation")


def test_stored_files_are_read_only(store: ResultStore, write: Write) -> None:
    folder = folder_of(store, write())
    modes = {path.stat().st_mode & 0o222 for path in folder.rglob("*") if path.is_file()}
    assert modes == {0}


def test_every_flipped_byte_is_detected(store: ResultStore, write: Write) -> None:
    result = write()
    folder = folder_of(store, result)
    draw = np.random.default_rng(0)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        good = path.read_bytes()
        for place in draw.integers(len(good), size=20):
            bad = bytearray(good)
            bad[place] ^= 1 << int(draw.integers(8))
            overwrite(path, bytes(bad))
            assert not store.is_done("head", result.key)
        overwrite(path, good)
    assert store.is_done("head", result.key)


def test_a_corrupt_array_is_never_shown_and_its_neighbour_still_is(
    store: ResultStore, write: Write, image: Any
) -> None:
    result = write()
    chunk = next((folder_of(store, result) / "reconstruction.zarr").rglob("c/0/0/0"))
    overwrite(chunk, chunk.read_bytes()[:-1] + b"\0")
    stored = store.read("head", result.key)

    with pytest.raises(CorruptResultError, match=r"reconstruction\.zarr is not as it was written"):
        stored.array("reconstruction")
    assert np.array_equal(stored.array("reference"), np.abs(image))


def test_a_missing_array_or_a_link_in_its_place_is_detected(
    store: ResultStore, write: Write, tmp_path: Path
) -> None:
    result = write()
    array = folder_of(store, result) / "reference.zarr"
    array.rename(tmp_path / "moved.zarr")
    assert "is missing" in store.verify("head", result.key)[0]

    array.symlink_to(tmp_path / "moved.zarr")
    assert "is a link" in store.verify("head", result.key)[0]


def test_a_result_moved_to_another_case_is_not_taken_for_its_own(
    store: ResultStore, write: Write
) -> None:
    result = write(case="head")
    folder = folder_of(store, result)
    other = folder.parents[1] / "knee" / result.key
    other.parent.mkdir()
    folder.rename(other)

    assert not store.is_done("knee", result.key)
    with pytest.raises(CorruptResultError, match="moved or renamed"):
        store.read("knee", result.key)


def test_a_corrupt_key_is_refused_then_quarantined_then_written_again(
    store: ResultStore, write: Write
) -> None:
    result = write()
    path = folder_of(store, result) / "result.json"
    good = path.read_bytes()
    overwrite(path, good.replace(b'"value": 0.8', b'"value": 0.1'))
    with pytest.raises(CorruptResultError, match="Set it aside by: medconsist batch retry"):
        write()

    aside = store.quarantine("head", result.key)

    assert aside.name.startswith(".quarantine-")
    assert store.cases() == []
    assert write().key == result.key
    assert store.is_done("head", result.key)


def test_a_good_result_cannot_be_set_aside(store: ResultStore, write: Write) -> None:
    result = write()
    with pytest.raises(RefusedInputError, match="a key is written once and never changed"):
        store.quarantine("head", result.key)
    with pytest.raises(MissingInputError, match="to set aside"):
        store.quarantine("head", KEY)


def test_a_draft_that_fails_leaves_nothing(store: ResultStore, make_fields: MakeFields) -> None:
    stop = KeyboardInterrupt("stop")

    def fail() -> None:
        with store.draft("head", make_fields().key) as draft:
            draft.add_array("cs", np.ones(3), axes=("time",))
            raise stop

    with pytest.raises(KeyboardInterrupt, match=r"^stop$"):
        fail()
    assert list((store.root / "demo" / "head").iterdir()) == []
    assert store.cases() == []


def test_a_draft_that_is_never_finished_says_so(store: ResultStore) -> None:
    with (
        pytest.raises(StorageError, match=r"ended without finish\(\)"),
        store.draft("head", KEY),
    ):
        pass


def test_a_draft_whose_fields_give_another_key_is_refused(
    store: ResultStore, make_fields: MakeFields
) -> None:
    with (
        pytest.raises(RefusedInputError, match="Make the key from the same values"),
        store.draft("head", KEY) as draft,
    ):
        draft.finish(make_fields())


@pytest.mark.parametrize(
    ("role", "changes", "match"),
    [
        ("Cs", {}, "The role 'Cs' is not allowed"),
        ("cs", {"axes": ("height",)}, "must be one different name for each of the 2 axes"),
        ("cs", {"axes": ("height", "height")}, "one different name"),
        ("cs", {"spacing_mm": (1.0,)}, "needs one entry for each of the axes"),
        ("cs", {"spacing_mm": (1.0, 0.0)}, "must be positive"),
        ("taken", {}, "is taken in this result"),
        ("cs", {"unt": "mm"}, "the key 'unt' is not known. Did you mean 'unit'"),
    ],
)
def test_an_array_with_a_wrong_description_is_refused_before_it_is_written(
    store: ResultStore, role: str, changes: dict[str, Any], match: str
) -> None:
    arguments: dict[str, Any] = {"axes": ("height", "width")} | changes
    with store.draft("head", KEY) as draft:
        draft.add_array("taken", np.ones((2, 3)), axes=("height", "width"))
        with pytest.raises(RefusedInputError, match=match):
            draft.add_array(role, np.ones((2, 3)), **arguments)
        assert sorted(path.name for path in draft.folder.iterdir()) == ["taken.zarr"]
        draft.discard()


def _write_bytes(path: Path) -> None:
    path.write_bytes(b"bytes")


def test_a_file_for_another_program_is_stored_and_verified(
    store: ResultStore, make_fields: MakeFields
) -> None:
    fields = make_fields()
    with store.draft("head", fields.key) as draft:
        draft.add_file(
            "cs_nifti",
            "cs.nii.gz",
            _write_bytes,
            axes=("width", "height", "slices"),
            shape=(7, 5, 2),
            dtype="float32",
        )
        with pytest.raises(RefusedInputError, match="of no known kind"):
            draft.add_file("x", "cs.pickle", Path.touch, axes=("a",), shape=(1,), dtype="float32")
        draft.finish(fields)

    stored = store.read("head", fields.key)

    assert stored.file("cs_nifti").read_bytes() == b"bytes"
    with pytest.raises(RefusedInputError, match=r"Use file\('cs_nifti'\)"):
        stored.array("cs_nifti")
    overwrite(stored.file("cs_nifti"), b"bytez")
    with pytest.raises(CorruptResultError, match="not as it was written"):
        stored.file("cs_nifti")


def test_current_is_always_a_whole_key_while_it_is_replaced(
    store: ResultStore, write: Write
) -> None:
    keys = [write(lambda_=0.005).key, write(lambda_=0.02).key]
    store.set_current("head", keys[0])
    seen: set[str | None] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add(store.current("head"))

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(40):
        store.set_current("head", keys[turn % 2])
    stop.set()
    reader.join()

    assert seen <= set(keys)


def test_current_points_only_to_a_verified_key(store: ResultStore, write: Write) -> None:
    result = write()
    with pytest.raises(MissingInputError, match="There is no result"):
        store.set_current("head", KEY)
    assert store.current("head") is None
    with pytest.raises(MissingInputError, match=f"has no current result. It has {result.key}"):
        store.read("head")
    with pytest.raises(MissingInputError, match="Did you mean 'head'"):
        store.read("haed")

    (store.root / "demo" / "head" / "current").write_text("../../secret\n")
    with pytest.raises(CorruptResultError, match="is damaged"):
        store.current("head")


def test_an_unknown_role_names_the_nearest_one(store: ResultStore, write: Write) -> None:
    stored = store.read("head", write().key)
    with pytest.raises(RefusedInputError, match="Did you mean 'reconstruction'"):
        stored.array("reconstrution")


@pytest.mark.parametrize("name", ["../up", "", "a\0b", ".hidden", "current", "a/b", "x" * 129])
def test_a_hostile_name_reaches_no_path(store: ResultStore, name: str) -> None:
    for call in (
        lambda: ResultStore(store.root, name),
        lambda: store.draft(name, KEY),
        lambda: store.draft("head", name),
        lambda: store.read(name),
        lambda: store.keys(name),
    ):
        with pytest.raises(RefusedInputError, match=r"not a safe name|uses itself|no result key"):
            call()
    assert not store.root.exists()


def test_drafts_of_dead_writers_are_removed_and_those_of_living_ones_kept(
    store: ResultStore, write: Write
) -> None:
    with store.draft("head", KEY) as living:
        name = living.folder.name.replace(f"-{os.getpid()}-", "-4194305-")
        dead = living.folder.with_name(name)
        dead.mkdir()
        elsewhere = living.folder.with_name(".draft-00000000-4194305-00000000")
        elsewhere.mkdir()

        write()

        assert living.folder.exists()
        assert elsewhere.exists()
        assert not dead.exists()
        living.discard()
