"""``medconsist manifest croissant`` as its users call it."""

import json
from pathlib import Path

import pytest

from medconsist.manifests.dataset import datasets
from tests.cli.conftest import Program
from tests.manifests.croissant_table import faults


def test_a_data_set_is_written_and_what_is_not_known_is_said(
    program: Program, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "made" / "cc359.json"
    with caplog.at_level("INFO"):
        answer = program("manifest", "croissant", "cc359", "--out", out)
    assert (answer.code, answer.out) == (0, f"{out}\n")
    assert "cc359: Croissant requires datePublished, not known here." in caplog.messages
    assert faults(json.loads(out.read_bytes())) == ["sc:Dataset cc359 lacks datePublished"]


def test_without_a_file_it_is_printed_and_is_the_same(
    program: Program, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "m4raw.jsonld"
    with caplog.at_level("INFO"):
        printed = program("manifest", "croissant", "m4raw")
    assert program("manifest", "croissant", "m4raw", "--out", out).code == 0
    assert out.read_text() == printed.out
    assert not caplog.messages
    again = program("manifest", "croissant", "m4raw", "--out", out)
    assert (again.code, out.read_text()) == (0, printed.out)


def test_a_case_manifest_becomes_a_record_set(program: Program, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("path,patient\n2022061203_T101.h5,2022061203\n")
    out = tmp_path / "m4raw.json"
    words = ("--cases", tmp_path / "cases.csv", "--out", out)
    assert program("manifest", "croissant", "m4raw", *words).code == 0
    description = json.loads(out.read_bytes())
    assert faults(description) == []
    fields = [field["@id"] for field in description["recordSet"][-1]["field"]]
    assert fields == ["cases/path", "cases/patient"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("m4rew",), "there is no data set 'm4rew'. Did you mean 'm4raw'"),
        (("m4raw", "--out", "cases.csv"), "must end with .json or .jsonld"),
        (("m4raw", "--cases", "a/cases.csv", "--out", "b/m.json"), "must lie beside --cases"),
        (("m4raw", "--cases", "none.csv"), "there is no manifest none.csv"),
    ],
)
def test_what_cannot_be_written_gets_one_sentence(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = program("manifest", "croissant", *words)
    assert answer.code == 2
    assert says in answer.sentence
    assert not list(tmp_path.iterdir())


def test_the_data_sets_are_shown_with_their_readers(program: Program) -> None:
    shown = program("manifest", "datasets", "ocmr")
    assert "  reader: ismrmrd" in shown.out.splitlines()
    values = json.loads(program("manifest", "datasets", "--json").out)
    assert {name: one["reader"] for name, one in values.items()} == {
        name: one.reader for name, one in datasets().items()
    }
