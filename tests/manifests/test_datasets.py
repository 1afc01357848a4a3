"""Data manifests: what comes with the program is sound, and names become patients as it says."""

import json
from pathlib import Path

import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.manifests.dataset import Dataset, datasets, named_dataset, read_dataset
from medconsist.manifests.naming import Naming

NAMES = ["camelyon-plus", "camelyon16", "camelyon17", "panda", "tcga-nsclc"]
SOUND = """
name = "mine"
title = "Mine"
page = "https://example.org"
how = ""
license = ""
citation = ""
slides = ["*.svs"]
patient_from = '(?P<patient>P\\d+)_'
patients = "named"
"""
FILE = '[[files]]\npath = "a.svs"\nurl = "https://example.org/a.svs"\n'


def test_the_five_data_sets_come_with_the_program() -> None:
    found = datasets()
    assert sorted(found) == NAMES
    for one in found.values():
        assert one.how
        assert one.license
        assert one.citation
        assert one.facts
        assert one.name in one.text


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_become_the_patients_that_the_examples_say(name: str) -> None:
    dataset = datasets()[name]
    assert any(one.patient is None for one in dataset.examples)
    for example in dataset.examples:
        folder = Path("/slides")
        named = Naming(dataset.patient_from).name(folder, folder / example.path)
        found = (None, None) if named is None else (named.patient, named.item)
        assert found == (example.patient, example.item), example.path


def test_facts_that_were_not_read_at_their_source_are_shown_so() -> None:
    dataset = datasets()["panda"]
    unread = [fact.what for fact in dataset.facts if not fact.verified]
    assert unread
    assert all(f"- not verified: {what}" in dataset.text for what in unread)
    assert dataset.patients == "unknown"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_of_ones_own_is_read_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND + FILE)
    dataset = named_dataset(str(path))
    assert dataset.files[0].path == "a.svs"
    assert Dataset.model_validate_json(json.dumps(dataset.model_dump(mode="json"))) == dataset


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "is no TOML"),
        ("name = 2026-01-01", "is no TOML of texts and numbers"),
        (SOUND.replace("license", "licence") + "license = ''", "the key 'licence' is not known"),
        (SOUND.replace("P\\d+", "P("), "patient_from"),
        (SOUND.replace("https", "ftp"), "page"),
        (SOUND + FILE.replace('"a.svs"', '"../a.svs"'), r"files\.0\.path"),
        (SOUND + FILE.replace('"a.svs"', '"/a.svs"'), r"files\.0\.path"),
        (SOUND + FILE.replace('"a.svs"', '".a.svs"'), r"files\.0\.path"),
        (SOUND + FILE.replace("org/", "org:99999/"), r"files\.0\.url"),
        (SOUND + FILE.replace("org/", "org/ "), r"files\.0\.url"),
        (SOUND + FILE + 'sha256 = "abc"', r"files\.0\.sha256"),
        (SOUND + FILE + "bytes = -1", r"files\.0\.bytes"),
        (SOUND + FILE + FILE, "two files would be a.svs"),
    ],
)
def test_a_faulty_data_manifest_is_refused_by_file_and_key(
    text: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(RefusedInputError, match=says) as caught:
        read_dataset(written(tmp_path, text))
    assert "mine.toml" in str(caught.value)


def test_a_data_set_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="Did you mean 'camelyon16'"):
        named_dataset("camelyon-16")
    with pytest.raises(MissingInputError, match="there is no data manifest"):
        named_dataset(str(tmp_path / "none.toml"))
