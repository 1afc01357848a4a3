"""Each kind of fault gets one sentence that names row and column, before anything runs."""

import os
import re
from pathlib import Path

import pytest

from medconsist.errors import BudgetError, MissingInputError, RefusedInputError
from medconsist.manifests import case_manifest
from medconsist.manifests.case_manifest import problems_of, read_case_manifest
from medconsist.manifests.columns import PLAUSIBLE_MPP
from medconsist.wsi import mpp as slides_mpp
from tests.manifests.conftest import Listing

SHA = "0" * 64

ONE_CELL = {
    "an empty path": ("path,case\n,c\n", "row 2, column path: is empty"),
    "a missing file": ("path\nq.svs\n", "row 2, column path: there is no file 'q.svs' in '"),
    "a missing folder": ("path\nq/a.svs\n", "row 2, column path: there is no folder 'q' in '"),
    "a missing absolute file": ("path\n/q.svs\n", "column path: there is no file '/q.svs'."),
    "a folder": ("path\nsub\n", "row 2, column path: 'sub' is a folder"),
    "a backslash": ("path\nsub\\a.svs\n", "separate folders by /"),
    "an address": ("path\ns3://x/a.svs\n", "row 2, column path: 's3://x/a.svs' is an address"),
    "a name too long": (f"path\n{'q' * 300}\n", "row 2, column path: .* cannot be looked at"),
    "a formula as path": ("path\n=a.svs\n", "row 2, column path: .*write './=a.svs'"),
    "a formula as site": ("path,site\na.svs,@b\n", "row 2, column site: '@b' is a formula"),
    "a formula of one's own": ("path,x_n\na.svs,=1+1\n", "row 2, column x_n: .*a formula"),
    "an unsafe patient": ("path,patient\na.svs,Müller\n", "column patient: 'Müller' is no safe id"),
    "an unsafe case": ("path,case\na.svs,../c\n", "row 2, column case: '../c' is no safe id"),
    "a reserved item": ("path,item\na.svs,current\n", "row 2, column item: 'current' is no safe"),
    "an id with a blank": ("path,case\na.svs,c 1\n", "row 2, column case: 'c 1' is no safe id"),
    "blanks around": ("path,case\na.svs,c1 \n", "row 2, column case: has blanks .* write 'c1'"),
    "a file name that is no id": ("path\ns 1.svs\n", "row 2, column item: is empty, and the name"),
    "a short sha256": (f"path,sha256\na.svs,{SHA[1:]}\n", "row 2, column sha256: .*64 digits"),
    "an odd sha256": (f"path,sha256\na.svs,{SHA[1:]}g\n", "row 2, column sha256: .*64 digits"),
    "an mpp in words": ("path,mpp\na.svs,40x\n", "row 2, column mpp: '40x' is no number"),
    "a comma in mpp": ('path,mpp\na.svs,"0,5"\n', "row 2, column mpp: '0,5' .*write 0.5"),
    "an mpp with underscores": ("path,mpp\na.svs,0_5\n", "row 2, column mpp: .* is no number"),
    "a negative mpp": ("path,mpp\na.svs,-0.5\n", "row 2, column mpp: -0.5 is not positive"),
    "an mpp of zero": ("path,mpp\na.svs,0\n", "row 2, column mpp: 0 is not positive"),
    "an mpp of nan": ("path,mpp\na.svs,nan\n", "row 2, column mpp: nan is not positive"),
    "an mpp of 72 dpi": (
        "path,mpp\na.svs,352.78\n",
        "row 2, column mpp: .*plausible is 0.05",
    ),
    "a fine mpp": ("path,mpp\na.svs,0.049\n", "row 2, column mpp: .*plausible is 0.05"),
    "an infinite mpp": ("path,mpp\na.svs,inf\n", "row 2, column mpp: .*plausible is 0.05"),
    "an unknown split": ("path,split\na.svs,Train\n", "row 2, column split: 'Train' is no split"),
    "a fold of none": ("path,split\na.svs,fold-01\n", "row 2, column split: .*fold-0, fold-1"),
    "a NUL byte": ("path,label\na.svs,a\0b\n", "row 2, column label: holds a NUL byte"),
    "a line break": ('path,label\na.svs,"a\nb"\n', "row 2, column label: holds a line break"),
    "a huge cell": (f"path,label\na.svs,{'x' * 5000}\n", "row 2, column label: holds 5000 char"),
}
ROW_OR_HEADER = {
    "an unknown column": ("path,pacient\na.svs,p\n", "row 1, column pacient: .*'patient'"),
    "a column in capitals": ("path,MPP\na.svs,1\n", "row 1, column MPP: .*Did you mean 'mpp'"),
    "no name after x_": ("path,x_\na.svs,p\n", "row 1, column x_: is not known"),
    "a column without name": ("path,,case\na.svs,,c\n", r"row 1, column \(no name\): has no name"),
    "no column path": ("patient\np\n", "row 1, column path: is missing"),
    "tabs": ("path\tx_n\na.svs\t1\n", "row 1: cells are separated by tabs"),
    "a column twice": ("path,x_n,x_n\na.svs,1,2\n", "row 1, column x_n: stands 2 times"),
    "too few cells": ("path,case\na.svs,c\nb.svs\n", "row 3: 1 cells, but the header has 2"),
    "too many cells": ("path,case\na.svs,c,d\n", "row 2: 3 cells, but the header has 2"),
    "an open quote": (
        'path,case\na.svs,"c\nb.svs,d\n',
        "row 2: cannot be cut .*a quote missing",
    ),
    "an open quote in the header": ('path,"case\na.svs,c\n', "row 1: cannot be cut into cells"),
    "text behind a quote": ('path,case\na.svs,"c"d\n', "row 2: cannot be cut into cells"),
    "Excel's hint": ("sep=;\npath;case\na.svs;c\n", "row 1: 'sep=;' is a hint to Excel"),
    "an empty file": ("", "^the file is empty"),
    "blank lines only": ("\n \n", "^the file is empty"),
    "an empty header": ("\npath\na.svs\n", "row 1: is empty"),
    "no rows": ("path,case\n\n", "^the manifest has a header and no rows"),
    "Latin-1": ("path,label\na.svs,Größe\n".encode("latin-1"), "row 2: byte 19 .*is not UTF-8"),
    "UTF-16": ("path\na.svs\n".encode("utf-16"), "^the file is UTF-16"),
}
ACROSS = {
    "one path twice": (
        "path,item\na.svs,i1\n./sub/../a.svs,i2\na.svs,i3\n",
        "row 3, column path: rows 2, 3 and 4 name one file",
    ),
    "one item twice": (
        "path,case,item\na.svs,c,i\nb.svs,c,i\n",
        r"row 3, column item: rows 2 and 3 are one item of one case \(case c, item i\)",
    ),
    "a case of two patients": (
        "path,case,patient\na.svs,c,p\nb.svs,c,q\nc.svs,c,q\n",
        r"row 3, column patient: case c has 2 patients: p \(row 2\), q \(rows 3 and 4\)",
    ),
    "a patient in two splits": (
        "path,patient,split\na.svs,p,train\nb.svs,p,\nc.svs,p,test\n",
        r"row 4, column split: patient p has 2 splits: test \(row 4\), train \(row 2\)",
    ),
    "the same bytes in two splits": (
        f"path,sha256,split\na.svs,{SHA},train\nb.svs,{SHA},test\n",
        r"row 3, column split: sha256 00000000\.\.\. has 2 splits",
    ),
    "folds beside train": (
        "path,split\na.svs,train\nb.svs,fold-0\nc.svs,test\n",
        "row 3, column split: folds and train or validation",
    ),
    "patients alike": (
        "path,patient\na.svs,P1\nb.svs,p1\n",
        r"row 3, column patient: ids differ only .*: P1 \(row 2\), p1 \(row 3\)",
    ),
    "cases alike": (
        "path,patient,case\na.svs,p,C1\nb.svs,p,c1\n",
        "row 3, column case: ids differ only by upper and lower case",
    ),
    "items alike": (
        "path,case,item\na.svs,c,I1\nb.svs,c,i1\n",
        "row 3, column item: ids differ only by upper and lower case",
    ),
    "file names alike": ("path\na.svs\nA.svs\n", "row 3, column patient: ids differ only"),
}
EVERY = {**ONE_CELL, **ROW_OR_HEADER, **ACROSS}


@pytest.mark.parametrize(("text", "match"), EVERY.values(), ids=EVERY.keys())
def test_a_fault_gets_its_one_sentence(listing: Listing, text: str | bytes, match: str) -> None:
    problems = problems_of(listing(text))
    assert len(problems) == 1, problems
    assert re.search(match, problems[0].sentence), problems[0].sentence
    assert problems[0].sentence.endswith((".", "?"))


@pytest.mark.parametrize(("text", "match"), EVERY.values(), ids=EVERY.keys())
def test_no_manifest_with_a_fault_is_read(listing: Listing, text: str | bytes, match: str) -> None:
    with pytest.raises(RefusedInputError, match=r"cases\.csv: "):
        read_case_manifest(listing(text))


def test_place_and_sentence_agree(listing: Listing) -> None:
    (problem,) = problems_of(listing("path,mpp\na.svs,0.25\n\nb.svs,x\n"))
    assert (problem.row, problem.column) == (4, "mpp")  # the blank row is counted
    assert problem.sentence.startswith("row 4, column mpp: ")


def test_all_faults_are_found_at_once_in_the_order_of_rows(listing: Listing) -> None:
    path = listing(
        "path,patient,split,mpp,extra\n"
        "a.svs,p,train,x,\n"
        "b.svs,p,test,0.5,\n"
        "q.svs,Ä,tran,99,\n"
        "a.svs,p\n"
    )
    places = [(problem.row, problem.column) for problem in problems_of(path)]
    assert places == [
        (1, "extra"),
        (2, "mpp"),
        (3, "split"),
        (4, "path"),
        (4, "patient"),
        (4, "split"),
        (4, "mpp"),
        (5, None),
    ]
    with pytest.raises(RefusedInputError, match=r"column extra: .*\(7 more; .*manifest check"):
        read_case_manifest(path)


def test_a_cell_at_fault_hides_no_fault_of_others(listing: Listing) -> None:
    problems = problems_of(listing("path,case,item,mpp\nq.svs,c,i,x\nq.svs,c,i,0.5\n"))
    columns = [problem.column for problem in problems]
    assert sorted(map(str, columns)) == ["item", "mpp", "path", "path", "path"]


def test_a_circle_of_links_is_a_missing_file(folder: Path, listing: Listing) -> None:
    (folder / "loop.svs").symlink_to("loop.svs")
    (problem,) = problems_of(listing("path\nloop.svs\n"))
    assert "there is no file 'loop.svs'" in problem.sentence


def test_a_pipe_is_no_ordinary_file(folder: Path, listing: Listing) -> None:
    os.mkfifo(folder / "pipe.svs")
    (problem,) = problems_of(listing("path\npipe.svs\n"))
    assert "is no ordinary file" in problem.sentence


def test_two_links_to_one_file_are_one_file(folder: Path, listing: Listing) -> None:
    (folder / "link.svs").symlink_to("a.svs")
    (problem,) = problems_of(listing("path\na.svs\nlink.svs\n"))
    assert "rows 2 and 3 name one file" in problem.sentence


def test_ids_that_begin_alike_are_no_fault(listing: Listing) -> None:
    assert problems_of(listing("path,patient\na.svs,p1\nb.svs,p12\nc.svs,p\n")) == []


def test_a_patient_may_be_partly_unsplit_and_folds_stand_beside_test(listing: Listing) -> None:
    text = "path,patient,split\na.svs,p,fold-0\nb.svs,p,\nc.svs,q,test\n"
    assert problems_of(listing(text)) == []


def test_what_is_no_manifest_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingInputError, match="manifest build FOLDER --out"):
        problems_of(folder / "none.csv")
    with pytest.raises(RefusedInputError, match="is a folder; make a manifest of it"):
        problems_of(folder)
    with pytest.raises(RefusedInputError, match=r"is a \.csv or \.parquet file"):
        problems_of(folder / "a.svs")
    monkeypatch.setattr(case_manifest, "LARGEST_BYTES", 3)
    (folder / "m.csv").write_text("path\n")
    with pytest.raises(BudgetError, match="holds 5 bytes, allowed are 3"):
        problems_of(folder / "m.csv")


def test_plausible_microns_are_those_of_the_slides() -> None:
    assert PLAUSIBLE_MPP == slides_mpp.PLAUSIBLE_MPP
