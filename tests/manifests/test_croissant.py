"""Croissant: every data manifest is exported as the specification asks, and nothing is made up."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from medconsist.errors import RefusedInputError
from medconsist.manifests.case_manifest import read_case_manifest
from medconsist.manifests.croissant import croissant, croissant_bytes, unknown_properties
from medconsist.manifests.dataset import Dataset, datasets
from medconsist.manifests.published_split import PublishedSplit
from tests.manifests.croissant_table import faults

NAMES = sorted(datasets())
# Required by the specification, and known for none of these: left out and said, never guessed.
NO_CREATOR = {"ad-apava", "camelyon-plus"}
DATED = {"cmrxrecon", "fastmri-plus", "m4raw", "ocmr", "ptb-xl", "skm-tea", "smni-eeg"}
SHA256 = "0" * 64


def own(**given: object) -> Dataset:
    values: dict[str, Any] = {
        "name": "mine",
        "title": "Mine",
        "page": "https://example.org",
        "how": "Ask.",
        "license": "CC BY 4.0",
        "citation": "Me, 2020",
        "creators": ("Us",),
        "published": "2020-01-31",
        "slides": ("*.svs",),
        "patient_from": r"(?P<patient>P\d+)_",
        "patients": "named",
    }
    return Dataset(**{**values, **given})


def part(description: dict[str, Any], name: str) -> dict[str, Any]:
    parts = [*description["distribution"], *description["recordSet"]]
    return next(one for one in parts if one["@id"] == name)


def first_group(field: dict[str, Any], path: str) -> str | None:
    """As readers of Croissant do: from the start of the path, the first group that is there."""
    source = field["source"]
    text = path if source["extract"] == {"fileProperty": "fullpath"} else Path(path).name
    found = re.match(source["transform"]["regex"], text)
    return None if found is None else next(filter(None, found.groups()), None)


@pytest.mark.parametrize("name", NAMES)
def test_every_data_manifest_is_as_the_specification_asks(name: str) -> None:
    dataset = datasets()[name]
    unknown = set(unknown_properties(dataset))
    expected = {f"sc:Dataset {name} lacks {one}" for one in unknown}
    assert set(faults(croissant(dataset))) == expected
    assert unknown <= {"creator", "datePublished"}


def test_what_is_required_and_not_known_is_said() -> None:
    known = datasets()
    unknown = {name: unknown_properties(known[name]) for name in NAMES}
    assert {name for name in NAMES if "creator" in unknown[name]} == NO_CREATOR
    assert {name for name in NAMES if "datePublished" not in unknown[name]} == DATED
    bare = own(license="", creators=(), published=None, citation="")
    assert unknown_properties(bare) == ("license", "creator", "datePublished")
    assert not {"license", "creator", "datePublished", "citeAs"} & set(croissant(bare))


def test_a_manifest_that_knows_all_has_no_fault() -> None:
    assert faults(croissant(own())) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda one: one.pop("url"), "lacks url"),
        (lambda one: one.update(datePublished="31 January"), "datePublished is"),
        (lambda one: one.update(conformsTo="http://mlcommons.org/croissant/1.1"), "conformsTo is"),
        (lambda one: one.update(licence="CC0"), "licence, which is not in the table"),
        (lambda one: one["distribution"].append(one["distribution"][0]), "stands twice"),
        (lambda one: one["recordSet"][0]["key"].update({"@id": "x"}), "nothing is x"),
        (lambda one: one["recordSet"][0]["field"][1].pop("dataType"), "lacks dataType"),
        (lambda one: one["recordSet"][0]["field"][1].pop("source"), "neither source nor data"),
        (lambda one: one["@context"].pop("fileSet"), "@context lacks fileSet"),
    ],
)
def test_the_check_sees_faults(spoil: Any, says: str) -> None:
    description = json.loads(croissant_bytes(own()))
    spoil(description)
    assert any(says in fault for fault in faults(description)), faults(description)


@pytest.mark.parametrize("name", NAMES)
def test_ids_out_of_names_are_those_of_the_manifest(name: str) -> None:
    dataset = datasets()[name]
    names = part(croissant(dataset), "names")
    fields = {field["@id"]: field for field in names["field"]}
    for example in dataset.examples:
        for folder in ("", "/data/set/"):
            found = first_group(fields["names/patient"], folder + example.path)
            # A rule that begins at the top of the folder fits nothing below another one.
            assert found == example.patient or (folder and found is None), example.path
        if example.patient is not None and "item" in re.compile(dataset.patient_from).groupindex:
            item = first_group(fields["names/item"], example.path)
            assert item in (example.item, None)
    shown = [row["names/path"] for row in names["examples"]]
    assert shown == [one.path for one in dataset.examples if one.patient is not None]


def test_a_rule_that_croissant_cannot_write_is_in_words_alone() -> None:
    two = own(patient_from=r"(a|b)/(?P<patient>P\d+)_")
    again = own(patient_from=r"(?P<patient>P\d+)/(?P=patient)_")
    for dataset in (two, again):
        description = croissant(dataset)
        names = part(description, "names")
        patient = next(one for one in names["field"] if one["@id"] == "names/patient")
        assert "transform" not in patient["source"]
        assert dataset.patient_from in names["description"]
        assert faults(description) == []


def test_sentences_that_were_not_verified_say_so() -> None:
    dataset = datasets()["fastmri-brain"]
    description = croissant(dataset)["description"]
    for fact in dataset.facts:
        doubt = "" if fact.verified else "not verified; "
        assert f"{fact.what} ({doubt}source: {fact.source})" in description
    assert any(not fact.verified for fact in dataset.facts)


def test_a_known_licence_is_its_address_and_another_one_its_words() -> None:
    address = "https://creativecommons.org/licenses/by-nd/4.0/"
    assert croissant(datasets()["cc359"])["license"] == address
    words = croissant(datasets()["ptb-xl"])["license"]
    assert words == {"@type": "sc:CreativeWork", "name": "CC BY 4.0 (not verified)"}


def test_listed_files_have_their_digest_and_size() -> None:
    files = [
        {"path": "a/b.tif", "url": "https://example.org/b.tif", "sha256": SHA256, "bytes": 7},
        {"path": "c.csv", "url": "https://example.org/c.csv", "sha256": SHA256, "md5": "1" * 32},
        {"path": "d.zip", "url": "https://example.org/d.zip", "md5": "1" * 32},
        {"path": "e", "url": "https://example.org/e"},
    ]
    dataset = Dataset.model_validate_json(
        json.dumps({**own().model_dump(mode="json"), "files": files})
    )
    description = croissant(dataset)
    assert faults(description) == []
    first = part(description, "files/a/b.tif")
    assert first["contentUrl"] == "https://example.org/b.tif"
    assert (first["sha256"], first["contentSize"]) == (SHA256, "7 B")
    kinds = [one["encodingFormat"] for one in description["distribution"][1:]]
    assert kinds == ["image/tiff", "text/csv", "application/zip", "application/octet-stream"]
    digests = [{"sha256", "md5"} & set(one) for one in description["distribution"][1:]]
    assert digests == [{"sha256"}, {"sha256"}, {"md5"}, set()]


def test_published_splits_are_there_patient_by_patient() -> None:
    dataset = datasets()["ad-apava"]
    records = part(croissant(dataset), "split-comet")
    split = dataset.split("comet")
    found = {row["split-comet/patient"]: row["split-comet/part"] for row in records["data"]}
    assert len(found) == len(records["data"]) == 23
    assert {patient for patient, where in found.items() if where == "test"} == {"19", "20"}
    positive = {
        row["split-comet/patient"] for row in records["data"] if row["split-comet/positive"]
    }
    assert positive == set(map(str, split.positive))


def test_two_splits_of_one_name_are_refused() -> None:
    one = PublishedSplit(name="they", source="a", verified=True, train=(1,), test=(2,))
    with pytest.raises(RefusedInputError, match="two parts would be 'split-they'"):
        croissant(own(splits=(one, one)))


def test_the_table_of_cases_is_a_file_and_its_columns_are_fields(folder: Path) -> None:
    path = folder / "cases.csv"
    path.write_text("path,patient,mpp,label,x_ block\na.svs,p1,0.5,ill,B 2\nb.svs,p2,,well,\n")
    cases = read_case_manifest(path)
    description = croissant(own(), cases=cases)
    assert faults(description) == []
    table, records = part(description, "case-table"), part(description, "cases")
    assert (table["contentUrl"], table["sha256"]) == ("cases.csv", cases.sha256)
    fields = {field["@id"]: field for field in records["field"]}
    assert list(fields) == [f"cases/{n}" for n in ("path", "patient", "mpp", "label", "x_%20block")]
    assert fields["cases/x_%20block"]["source"]["extract"] == {"column": "x_ block"}
    assert fields["cases/mpp"]["dataType"] == "sc:Float"
    assert "cr:Label" in fields["cases/label"]["dataType"]


@pytest.mark.parametrize("name", ["ad-apava", "m4raw", "panda"])
def test_the_same_manifest_gives_the_same_bytes(name: str) -> None:
    dataset = datasets()[name]
    data = croissant_bytes(dataset)
    assert data == croissant_bytes(Dataset.model_validate_json(dataset.model_dump_json()))
    assert json.loads(data) == croissant(dataset)
    assert data.endswith(b"}\n")
