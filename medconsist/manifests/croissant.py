"""Data manifests as Croissant, the JSON-LD that tools and search engines read data sets by."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from medconsist.errors import RefusedInputError
from medconsist.manifests.cases import CaseManifest
from medconsist.manifests.croissant_files import file_set, listed_files, table_file
from medconsist.manifests.croissant_records import case_records, name_records, split_records
from medconsist.manifests.dataset import Dataset, Fact

__all__ = ["CONFORMS_TO", "croissant", "croissant_bytes", "unknown_properties"]

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"

_OF_CROISSANT = (
    *("citeAs", "column", "equivalentProperty", "excludes", "extract", "field", "fileObject"),
    *("fileProperty", "fileSet", "samplingRate"),
    *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path"),
    *("recordSet", "references", "regex", "repeated", "replace", "separator", "source"),
    *("subField", "transform"),
)
_LICENCES = {
    "CC0 1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC BY-NC 4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC BY-NC-SA 4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "CC BY-ND 4.0": "https://creativecommons.org/licenses/by-nd/4.0/",
    "CC BY-SA 4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
}


def croissant(dataset: Dataset, *, cases: CaseManifest | None = None) -> dict[str, Any]:
    r"""Return the description of a data set as Croissant 1.0.

    What the manifest does not know is left out, never guessed, also where the specification
    requires it: `unknown_properties` names that. Sentences of the manifest that were not verified
    say so. Fields of the vocabulary of responsible AI are left out, as no manifest holds them.

    Parameters
    ----------
    dataset
        The data manifest.
    cases
        Its case manifest, if there is one: its table becomes a file and a record set; the
        description is to lie beside it.

    Returns
    -------
    dict
        JSON-LD with ``distribution`` (files with digests, a set of files by their names) and
        ``recordSet`` (ids out of names, published splits, cases).

    Raises
    ------
    RefusedInputError
        Two parts of the manifest would have one name.

    References
    ----------
    MLCommons, Croissant Format Specification 1.0 (2024-03-01), the address in ``CONFORMS_TO``.

    Examples
    --------
    >>> one = Dataset(name="d", title="D", page="https://example.org", how="", license="CC0 1.0",
    ...               citation="", slides=("*.svs",), patient_from=r"(?P<patient>P\d+)_",
    ...               patients="named")
    >>> croissant(one)["license"]
    'https://creativecommons.org/publicdomain/zero/1.0/'
    """
    files = [file_set(dataset), *listed_files(dataset.files)]
    records = [name_records(dataset), *split_records(dataset.splits)]
    if cases is not None:
        files.append(table_file(cases))
        records.append(case_records(cases))
    _require_unique(_ids([*files, *records]), name=dataset.name)
    values = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": dataset.name,
        "alternateName": dataset.title,
        "description": _description(dataset),
        "url": dataset.page,
        "sameAs": None if dataset.doi is None else f"https://doi.org/{dataset.doi}",
        "license": _license(dataset.license),
        "citeAs": dataset.citation or None,
        "creator": [{"@type": "sc:Organization", "name": one} for one in dataset.creators] or None,
        "datePublished": dataset.published,
        "keywords": _keywords(dataset),
        "distribution": files,
        "recordSet": records,
    }
    return {name: value for name, value in values.items() if value is not None}


def croissant_bytes(dataset: Dataset, *, cases: CaseManifest | None = None) -> bytes:
    """Return `croissant` as UTF-8 JSON; the same manifests give the same bytes."""
    return f"{json.dumps(croissant(dataset, cases=cases), indent=2, ensure_ascii=False)}\n".encode()


def unknown_properties(dataset: Dataset) -> tuple[str, ...]:
    """Return what Croissant requires of a data set and its manifest does not know."""
    known = {
        "license": dataset.license,
        "creator": dataset.creators,
        "datePublished": dataset.published,
    }
    return tuple(name for name, value in known.items() if not value)


def _context() -> dict[str, Any]:
    as_json = {name: {"@id": f"cr:{name}", "@type": "@json"} for name in ("data", "examples")}
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "conformsTo": "dct:conformsTo",
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        **as_json,
        **{name: f"cr:{name}" for name in _OF_CROISSANT},
    }


def _description(dataset: Dataset) -> str:
    facts = (_sentence(one) for one in dataset.facts)
    places = (f"In the place of {one.text}" for one in dataset.stand_ins)
    patients = f"Patients: {dataset.patients}."
    return "\n".join(filter(None, [f"{dataset.title}.", dataset.how, patients, *facts, *places]))


def _sentence(fact: Fact) -> str:
    doubt = "" if fact.verified else "not verified; "
    return f"{fact.what} ({doubt}source: {fact.source})"


def _license(text: str) -> str | dict[str, str] | None:
    if not text:
        return None
    return _LICENCES.get(text, {"@type": "sc:CreativeWork", "name": text})


def _keywords(dataset: Dataset) -> list[str]:
    kinds = {
        "whole slide images": dataset.slides,
        "biosignals": dataset.recordings,
        "MRI k-space": dataset.kspace,
    }
    parts = dict.fromkeys(one.part for one in dataset.stand_ins)
    return [*(kind for kind, names in kinds.items() if names), *parts]


def _ids(parts: Iterable[dict[str, Any]]) -> Iterator[str]:
    for part in parts:
        yield part["@id"]
        yield from (field["@id"] for field in part.get("field", ()))


def _require_unique(ids: Iterable[str], *, name: str) -> None:
    twice = next((one for one, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        msg = f"{name}: two parts would be {twice!r}; name splits and columns apart."
        raise RefusedInputError(msg)
