"""What is written reads back, however it is stored, and the order of rows and columns is free."""

import csv
import hashlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.manifests import parquet_file
from medconsist.manifests.case_manifest import problems_of, read_case_manifest
from medconsist.manifests.cases import CaseRow
from medconsist.manifests.columns import cell_fault
from medconsist.manifests.write import write_case_manifest
from tests.manifests.conftest import Listing

FILES = ("a.svs", "b c.svs", 'ü,;".svs', "=d.svs", "sub/e.svs")
TEXT = st.text(max_size=12).filter(
    lambda text: not cell_fault("label", text) and text.encode("utf-8", "replace").decode() == text
)


@st.composite
def rows(draw: st.DrawFn) -> list[CaseRow]:
    """Rows without a fault: each patient in one split, each file once."""
    files = draw(st.lists(st.sampled_from(FILES), min_size=1, unique=True))
    splits = [draw(st.sampled_from([None, "train", "test"])) for _ in range(3)]
    return [_row(draw, number, name, splits) for number, name in enumerate(files)]


def _row(draw: st.DrawFn, number: int, name: str, splits: Sequence[str | None]) -> CaseRow:
    owner = draw(st.integers(0, 2))
    texts = {column: draw(st.none() | TEXT.filter(bool)) for column in ("site", "label")}
    return CaseRow(
        row=number + 2,
        path=Path("/") / name,
        patient=f"p{owner}",
        case=f"p{owner}-{draw(st.integers(0, 1))}",
        item=f"i{number}",
        sha256=draw(st.none() | st.just(hashlib.sha256(name.encode()).hexdigest())),
        mpp=draw(st.none() | st.floats(0.05, 20.0)),
        split=splits[owner],
        own=draw(st.dictionaries(st.sampled_from(["x_a", "x_Größe"]), TEXT.filter(bool))),
        **texts,
    )


def placed(found: Sequence[CaseRow], folder: Path) -> list[CaseRow]:
    """The rows with their files made in a folder."""
    moved = [row.model_copy(update={"path": folder / str(row.path)[1:]}) for row in found]
    for row in moved:
        row.path.parent.mkdir(exist_ok=True)
        row.path.touch()
    return moved


def without_number(found: Sequence[CaseRow]) -> list[CaseRow]:
    return [row.model_copy(update={"row": 0}) for row in found]


@given(rows())
@settings(max_examples=40, deadline=None)
def test_what_is_written_reads_back(drawn: list[CaseRow]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        wanted = placed(drawn, folder)
        write_case_manifest(wanted, folder / "lists" / "m.csv")
        manifest = read_case_manifest(folder / "lists" / "m.csv")
    assert list(manifest.rows) == wanted


@given(rows(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_and_columns_does_not_matter(drawn: list[CaseRow], random: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        wanted = placed(drawn, folder)
        path = folder / "m.csv"
        write_case_manifest(wanted, path)
        table = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
        order = random.sample(range(len(table[0])), len(table[0]))
        body = random.sample(table[1:], len(table) - 1)
        shuffled = io.StringIO(newline="")
        writer = csv.writer(shuffled, delimiter=random.choice(",;"), quoting=csv.QUOTE_ALL)
        writer.writerows([[row[place] for place in order] for row in (table[0], *body)])
        path.write_text(shuffled.getvalue(), encoding="utf-8-sig", newline="")
        manifest = read_case_manifest(path)
    found = sorted(without_number(manifest.rows), key=lambda row: row.item)
    assert found == without_number(wanted)


@given(st.permutations([("a", "p", "train"), ("b", "P", "test"), ("c", "p", "test")]))
@settings(max_examples=6, deadline=None)
def test_the_number_of_faults_does_not_depend_on_the_order(found: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stem, _, _ in found:
            (folder / f"{stem}.svs").touch()
        lines = [f"{stem}.svs,{patient},{split}" for stem, patient, split in found]
        (folder / "m.csv").write_text("\n".join(["path,patient,split", *lines]))
        columns = sorted(str(problem.column) for problem in problems_of(folder / "m.csv"))
    assert columns == ["patient", "split"]


@given(st.binary(max_size=200) | st.text(st.sampled_from('pathcse,;"\n\r x='), max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes_get_sentences_and_no_crash(found: bytes | str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "m.csv"
        path.write_bytes(found if isinstance(found, bytes) else found.encode())
        assert all(problem.sentence for problem in problems_of(path))


def test_empty_ids_come_from_the_file_and_it_is_said(listing: Listing) -> None:
    manifest = read_case_manifest(listing("path,case,patient\na.svs,,\nb.svs,c7,p7\n"))
    ids = [(row.patient, row.case, row.item) for row in manifest.rows]
    assert ids == [("a", "a", "a"), ("p7", "c7", "b")]
    assert "2 of 2 rows name no item: it is the name of its file." in manifest.notes
    assert "1 of 2 rows name no patient: it is its case." in manifest.notes


def test_paths_are_relative_to_the_manifest_and_links_keep_their_name(folder: Path) -> None:
    (folder / "sub" / "link.svs").symlink_to("../a.svs")
    (folder / "sub" / "m.csv").write_text("path\n../b.svs\nlink.svs\n")
    manifest = read_case_manifest(folder / "sub" / "m.csv")
    assert [row.path for row in manifest.rows] == [
        folder.resolve() / "b.svs",
        folder.resolve() / "sub" / "link.svs",
    ]
    assert [row.item for row in manifest.rows] == ["b", "link"]


def test_absolute_paths_are_allowed_and_noted(folder: Path, listing: Listing) -> None:
    manifest = read_case_manifest(listing(f"path\nb.svs\n{folder}/a.svs\n"))
    assert "1 of 2 paths are absolute (first in row 3)" in " ".join(manifest.notes)


def test_copies_are_noted(listing: Listing) -> None:
    text = f"path,sha256\na.svs,{'0' * 64}\nb.svs,{'0' * 64}\n"
    assert "2 rows have the sha256 of another one" in " ".join(
        read_case_manifest(listing(text)).notes
    )


def test_what_a_spreadsheet_adds_does_no_harm(listing: Listing) -> None:
    text = "path;case;;\r\na.svs;c1;;\r\n;;;\r\nb.svs;c2;;\r\n;;;\r\n"
    manifest = read_case_manifest(listing(b"\xef\xbb\xbf" + text.encode()))
    assert [(row.row, row.case) for row in manifest.rows] == [(2, "c1"), (4, "c2")]
    assert manifest.notes[:2] == (
        "The file begins with a byte order mark.",
        "Cells are separated by semicolons.",
    )


def test_a_sha256_in_capitals_is_the_same_one(listing: Listing) -> None:
    manifest = read_case_manifest(listing(f"path,sha256\na.svs,{'AB' * 32}\n"))
    assert manifest.rows[0].sha256 == "ab" * 32


def test_the_manifest_knows_its_own_bytes(listing: Listing) -> None:
    path = listing("path\na.svs\n")
    assert read_case_manifest(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_cell_that_would_not_read_back_is_not_written(tmp_path: Path) -> None:
    row = CaseRow(row=2, path=tmp_path / "a.svs", patient="p", case="c", item="i", label="=1")
    with pytest.raises(RefusedInputError, match="row 2, column label: '=1' is a formula"):
        write_case_manifest([row], tmp_path / "m.csv")
    with pytest.raises(RefusedInputError, match=r"are written as \.csv"):
        write_case_manifest([row], tmp_path / "m.parquet")
    assert not list(tmp_path.iterdir())


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    arrow, parquet = require("pyarrow", extra="wsi"), require("pyarrow.parquet", extra="wsi")
    parquet.write_table(arrow.table(columns), path)
    return path


def test_parquet_reads_as_the_same_rows(folder: Path, listing: Listing) -> None:
    columns = {
        "path": ["a.svs", "b.svs"],
        "case": [7, 8],
        "mpp": [0.25, None],
        "label": ["benign", None],
        "x_n": [None, "1"],
    }
    stored = read_case_manifest(write_parquet(folder / "m.parquet", columns))
    text = "path,case,mpp,label,x_n\na.svs,7,0.25,benign,\nb.svs,8,,,1\n"
    assert stored.rows == read_case_manifest(listing(text)).rows


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"path": ["a.svs"], "case": [7.0]}, "row 1, column case: is of type double; write it as"),
        ({"path": [b"a.svs"]}, "row 1, column path: is of type binary; write it as text"),
        ({"path": ["a.svs"], "mpp": [float("nan")]}, "row 2, column mpp: nan is not positive"),
        ({"path": ["a.svs", "q.svs"]}, "row 3, column path: there is no file"),
        ({"path": ["a.svs"], "mp": ["1"]}, "row 1, column mp: .*Did you mean 'mpp'"),
    ],
)
def test_faults_of_parquet_name_their_place(
    folder: Path, columns: dict[str, Any], match: str
) -> None:
    path = write_parquet(folder / "m.parquet", columns)
    with pytest.raises(RefusedInputError, match=match):
        read_case_manifest(path)


def test_bytes_that_are_no_parquet_are_refused(folder: Path) -> None:
    (folder / "m.parquet").write_text("path\na.svs\n")
    with pytest.raises(RefusedInputError, match="cannot be read as Parquet"):
        read_case_manifest(folder / "m.parquet")


def test_a_parquet_file_of_no_column_or_too_many_rows_is_no_manifest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RefusedInputError, match="the table has 0 rows and 0 columns"):
        read_case_manifest(write_parquet(folder / "m.parquet", {}))
    monkeypatch.setattr(parquet_file, "MOST_ROWS", 1)
    path = write_parquet(folder / "n.parquet", {"path": ["a.svs", "b.svs"]})
    with pytest.raises(RefusedInputError, match="2 rows and 1 columns, allowed are 1 rows"):
        read_case_manifest(path)


def test_text_of_a_parquet_file_that_is_no_utf8_is_refused(folder: Path) -> None:
    arrow = require("pyarrow", extra="wsi")
    offsets, text = arrow.py_buffer(b"\0\0\0\0\2\0\0\0"), arrow.py_buffer(b"\xff\xfe")
    column = arrow.Array.from_buffers(arrow.string(), 1, [None, offsets, text])
    with pytest.raises(RefusedInputError, match=r"cannot be read as Parquet \(.*UTF8"):
        read_case_manifest(write_parquet(folder / "m.parquet", {"path": column}))


def test_a_parquet_column_that_stands_twice_is_named(folder: Path) -> None:
    arrow, parquet = (require(name, extra="wsi") for name in ("pyarrow", "pyarrow.parquet"))
    column = arrow.array(["a.svs"])
    table = arrow.table([column, column], names=["path", "path"])
    parquet.write_table(table, folder / "m.parquet")
    with pytest.raises(RefusedInputError, match="column path: stands 2 times in the header"):
        read_case_manifest(folder / "m.parquet")
