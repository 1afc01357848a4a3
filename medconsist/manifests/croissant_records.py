"""What is known of each file or patient as Croissant's ``recordSet``."""

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from medconsist.manifests.cases import CaseManifest
from medconsist.manifests.croissant_files import NAMED_FILES, TABLE
from medconsist.manifests.dataset import Dataset
from medconsist.manifests.published_split import PublishedSplit
from medconsist.manifests.split_record import PARTS

__all__ = ["case_records", "name_records", "split_records"]

_NAMES, _SPLITS, _CASES = "names", "splits", "cases"
_GROUP = re.compile(r"\(\?P<(\w+)>")
_ABOUT = {
    "path": "The file.",
    "patient": "Whose it is; what stays on one side of a split.",
    "case": "One study of the patient; the patient where that is not named.",
    "item": "One file of the case.",
    "sha256": "Of the file.",
    "site": "Where the file comes from.",
    "mpp": "Microns per pixel [um/px].",
    "label": "Of any kind.",
    "split": "train, validation, test or fold-N.",
}
_TYPES: dict[str, str | list[str]] = {
    "mpp": "sc:Float",
    "label": ["sc:Text", "cr:Label"],
}
_SPLIT_URLS = {
    "train": "cr:TrainingSplit",
    "validation": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}


def name_records(dataset: Dataset) -> dict[str, Any]:
    """Return a record for each file, its ids read from its path by the manifest's rule.

    A regular expression of Croissant gives its first group and begins at the start of the path; a
    rule that cannot be written so is in the description alone.
    """
    groups = re.compile(dataset.patient_from).groupindex
    ids = [_id_field(dataset.patient_from, name) for name in ("patient", "case") if name in groups]
    item = (
        _id_field(dataset.patient_from, "item")
        if "item" in groups
        else _field(_NAMES, "item", source=_from_path(r"(.+)\.[^.]+", "filename"))
    )
    fields = [_field(_NAMES, "path", source=_from_path(None)), *ids, item]
    examples = _examples(dataset, {field["@id"] for field in fields})
    return {
        "@type": "cr:RecordSet",
        "@id": _NAMES,
        "name": _NAMES,
        "description": (
            f"Ids of each file, searched in its path below the folder: {dataset.patient_from} "
            f"Patients: {dataset.patients}. Characters other than letters, digits, . _ - become -; "
            "an empty item is the name of the file; files that the rule does not fit are no cases."
        ),
        "key": {"@id": f"{_NAMES}/path"},
        "field": fields,
        **({"examples": examples} if examples else {}),
    }


def split_records(splits: Sequence[PublishedSplit]) -> Iterator[dict[str, Any]]:
    """Yield the names of parts, then for each published split its patients and their part."""
    if not splits:
        return
    yield {
        "@type": "cr:RecordSet",
        "@id": _SPLITS,
        "name": _SPLITS,
        "dataType": "cr:Split",
        "key": {"@id": f"{_SPLITS}/name"},
        "field": [
            _field(_SPLITS, "name", about="Of the part."),
            _field(_SPLITS, "url", about="What it is for.", kind="sc:URL"),
        ],
        "data": [{f"{_SPLITS}/name": part, f"{_SPLITS}/url": _SPLIT_URLS[part]} for part in PARTS],
    }
    yield from map(_published, splits)


def case_records(cases: CaseManifest) -> dict[str, Any]:
    """Return the columns of a case manifest."""
    return {
        "@type": "cr:RecordSet",
        "@id": _CASES,
        "name": _CASES,
        "description": "One record a file, as the case manifest lists them.",
        "key": {"@id": f"{_CASES}/path"},
        "field": [
            _field(
                _CASES,
                column,
                source={"fileObject": {"@id": TABLE}, "extract": {"column": column}},
            )
            for column in cases.columns
        ],
    }


def _published(split: PublishedSplit) -> dict[str, Any]:
    name = f"split-{quote(split.name, safe='')}"
    fields = [
        _field(name, "patient"),
        _field(name, "part", about="Of the split.", references=f"{_SPLITS}/name"),
    ]
    if split.positive:
        kind = ["sc:Boolean", "cr:Label"]
        fields.append(_field(name, "positive", about="Of the positive class.", kind=kind))
    numbers = [(number, part) for part in PARTS for number in split.part(part)]
    positive = set(map(str, split.positive))
    rows = [(patient, part, patient in positive) for patient, part in numbers]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{split.text}.",
        "key": {"@id": f"{name}/patient"},
        "field": fields,
        "data": [
            {field["@id"]: value for field, value in zip(fields, row, strict=False)} for row in rows
        ],
    }


def _examples(dataset: Dataset, fields: set[str]) -> list[dict[str, str]]:
    rows = (
        {"path": one.path, "patient": one.patient, "item": one.item}
        for one in dataset.examples
        if one.patient is not None
    )
    named = ({f"{_NAMES}/{name}": value for name, value in row.items() if value} for row in rows)
    return [{name: value for name, value in row.items() if name in fields} for row in named]


def _id_field(pattern: str, name: str) -> dict[str, Any]:
    return _field(_NAMES, name, source=_from_path(_only_group(pattern, name)))


def _only_group(pattern: str, name: str) -> str | None:
    """Write the rule so that its one group is the id, and so that it may begin anywhere."""
    plain = _GROUP.sub(lambda found: "(" if found[1] == name else "(?:", pattern)
    anywhere = f"^.*?(?:{plain})"
    try:
        groups = re.compile(anywhere).groups
    except re.error:  # a reference to a group by its name
        return None
    return anywhere if groups == 1 else None


def _from_path(regex: str | None, kind: str = "fullpath") -> dict[str, Any]:
    source = {"fileSet": {"@id": NAMED_FILES}, "extract": {"fileProperty": kind}}
    return source if regex is None else {**source, "transform": {"regex": regex}}


def _field(
    records: str,
    name: str,
    *,
    about: str | None = None,
    kind: str | list[str] | None = None,
    source: dict[str, Any] | None = None,
    references: str | None = None,
) -> dict[str, Any]:
    values = {
        "@type": "cr:Field",
        "@id": f"{records}/{quote(name, safe='')}",
        "name": f"{records}/{quote(name, safe='')}",
        "description": about or _ABOUT.get(name, "A column of the user's own."),
        "dataType": kind or _TYPES.get(name, "sc:Text"),
        "source": source,
        "references": None if references is None else {"field": {"@id": references}},
    }
    return {key: value for key, value in values.items() if value is not None}
