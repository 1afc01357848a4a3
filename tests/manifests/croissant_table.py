"""What Croissant 1.0 says of each type: properties, whether required, how many, and of what kind.

Written from the tables of the Croissant Format Specification 1.0 (2024-03-01); the sentences on
``distribution`` and ``conformsTo`` there make these two required. ``@id`` is required of all parts
but the data set, as its chapter on identifiers asks of what is referred to.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
# The terms that Croissant adds, as the specification's appendix and chapters write them.
TERMS = {
    *("citeAs", "column", "data", "dataType", "equivalentProperty", "examples", "excludes"),
    *("extract", "field", "samplingRate"),
    *("fileObject", "fileProperty", "fileSet", "format", "includes", "isLiveDataset", "jsonPath"),
    *("key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated"),
    *("replace", "separator", "source", "subField", "transform"),
}
ATOMIC = {"sc:Boolean", "sc:Date", "sc:Float", "sc:Integer", "sc:Text", "sc:URL"}
SEMANTIC = {"cr:Label", "cr:Split"}


@dataclass(frozen=True)
class Property:
    """How often it may stand, and what each of its values must be."""

    fits: Callable[[Any], bool]
    many: bool = False
    required: bool = False


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def is_url(value: object) -> bool:
    if not isinstance(value, str) or re.search(r"\s", value):
        return False
    parts = urlsplit(value)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def is_content_url(value: object) -> bool:
    return is_url(value) or (is_text(value) and ":" not in str(value))  # or beside the description


def is_date(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", value))


def is_mime(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", value))


def is_size(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\d+ B", value))


def is_hex(digits: int) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, str) and bool(re.fullmatch(f"[0-9a-f]{{{digits}}}", value))
    )


def is_reference(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"@id"} and is_text(value["@id"])


def is_field_reference(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"field"} and is_reference(value["field"])


def is_named(*types: str) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        return (
            isinstance(value, dict)
            and set(value) == {"@type", "name"}
            and value["@type"] in types
            and is_text(value["name"])
        )

    return fits


def is_licence(value: object) -> bool:
    return is_url(value) or is_named("sc:CreativeWork")(value)


def is_type(value: object) -> bool:
    return value in ATOMIC | SEMANTIC


def is_record(value: object) -> bool:
    return isinstance(value, dict) and bool(value)


def one(fits: Callable[[Any], bool], *, required: bool = False) -> Property:
    return Property(fits, required=required)


def many(fits: Callable[[Any], bool], *, required: bool = False) -> Property:
    return Property(fits, many=True, required=required)


def part(*names: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and value.get("@type") in names


TABLE: dict[str, dict[str, Property]] = {
    "sc:Dataset": {
        "@context": one(lambda value: isinstance(value, dict), required=True),
        "conformsTo": one(lambda value: value == CONFORMS_TO, required=True),
        "name": one(is_text, required=True),
        "description": one(is_text, required=True),
        "license": many(is_licence, required=True),
        "url": one(is_url, required=True),
        "creator": many(is_named("sc:Organization", "sc:Person"), required=True),
        "datePublished": one(is_date, required=True),
        "distribution": many(part("cr:FileObject", "cr:FileSet"), required=True),
        "alternateName": one(is_text),
        "citeAs": one(is_text),
        "keywords": many(is_text),
        "recordSet": many(part("cr:RecordSet")),
        "sameAs": many(is_url),
    },
    "cr:FileObject": {
        "@id": one(is_text, required=True),
        "name": one(is_text, required=True),
        "contentUrl": one(is_content_url, required=True),
        "encodingFormat": one(is_mime, required=True),
        "contentSize": one(is_size),
        "description": one(is_text),
        "md5": one(is_hex(32)),
        "sha256": one(is_hex(64)),
    },
    "cr:FileSet": {
        "@id": one(is_text, required=True),
        "name": one(is_text, required=True),
        "encodingFormat": one(is_mime, required=True),
        "includes": many(is_text, required=True),
        "description": one(is_text),
    },
    "cr:RecordSet": {
        "@id": one(is_text, required=True),
        "name": one(is_text, required=True),
        "field": many(part("cr:Field"), required=True),
        "key": many(is_reference),
        "dataType": many(is_type),
        "data": many(is_record),
        "description": one(is_text),
        "examples": many(is_record),
    },
    "cr:Field": {
        "@id": one(is_text, required=True),
        "name": one(is_text, required=True),
        "dataType": many(is_type, required=True),
        "description": one(is_text),
        "references": one(is_field_reference),
        "source": one(is_record),
    },
}
SOURCE = {"fileObject", "fileSet", "extract", "transform"}
FILE_PROPERTIES = {"fullpath", "filename", "content", "lines", "lineNumbers"}


def faults(description: dict[str, Any]) -> list[str]:
    """Say everything that the specification does not allow in a description."""
    found = [*_of_node(description, "sc:Dataset")]
    parts = {one["@id"]: one for one in _parts(description)}
    ids = [one["@id"] for one in _parts(description)]
    found += [f"{name} stands twice" for name in set(ids) if ids.count(name) > 1]
    found += _of_references(description, set(parts))
    found += _of_records(description)
    context = description["@context"]
    missing = sorted(term for term in TERMS if not str(context.get(term)).count(f"cr:{term}"))
    return [*found, *(f"@context lacks {term}" for term in missing)]


def _parts(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from description["distribution"]
    for records in description.get("recordSet", ()):
        yield records
        yield from records["field"]


def _of_node(node: dict[str, Any], kind: str) -> Iterator[str]:
    where = f"{kind} {node.get('@id', node.get('name'))}"
    if node.get("@type") != kind:
        yield f"{where} is a {node.get('@type')}"
    for name, rule in TABLE[kind].items():
        if rule.required and name not in node:
            yield f"{where} lacks {name}"
    for name, value in node.items():
        if name == "@type":
            continue
        if name not in TABLE[kind]:
            yield f"{where} has {name}, which is not in the table"
            continue
        known = TABLE[kind][name]
        values = value if known.many and isinstance(value, list) else [value]
        if not values or not all(map(known.fits, values)):
            yield f"{where}: {name} is {value!r}"
            continue
        for child in values:
            if isinstance(child, dict) and child.get("@type") in set(TABLE) - {"sc:Dataset"}:
                yield from _of_node(child, child["@type"])


def _of_references(description: dict[str, Any], known: set[str]) -> Iterator[str]:
    for records in description.get("recordSet", ()):
        keys = records.get("key", [])
        pointers = [*(keys if isinstance(keys, list) else [keys])]
        for field in records["field"]:
            source = field.get("source", {})
            pointers += [source[name] for name in ("fileObject", "fileSet") if name in source]
            pointers += [field["references"]["field"]] if "references" in field else []
            yield from _of_source(field["@id"], source)
        yield from (f"nothing is {one['@id']}" for one in pointers if one["@id"] not in known)


def _of_source(where: str, source: dict[str, Any]) -> Iterator[str]:
    if not source:
        return
    if set(source) - SOURCE or len({"fileObject", "fileSet"} & set(source)) != 1:
        yield f"{where}: a source of {sorted(source)}"
    extract = source.get("extract", {})
    columns = is_text(extract.get("column")) and "fileObject" in source
    if len(extract) != 1 or not (columns or extract.get("fileProperty") in FILE_PROPERTIES):
        yield f"{where}: extracts {extract}"
    regex = source.get("transform", {"regex": "()"})
    if set(regex) != {"regex"} or re.compile(regex["regex"]).groups != 1:
        yield f"{where}: transforms by {regex}"


def _of_records(description: dict[str, Any]) -> Iterator[str]:
    for records in description.get("recordSet", ()):
        fields = {field["@id"]: field for field in records["field"]}
        yield from (
            f"{one} is not below {records['@id']}"
            for one in fields
            if not one.startswith(f"{records['@id']}/")
        )
        for row in records.get("data", ()):
            if set(row) != set(fields):
                yield f"{records['@id']}: a row of {sorted(row)}"
        for row in records.get("examples", ()):
            if not set(row) <= set(fields):
                yield f"{records['@id']}: an example of {sorted(row)}"
        if "data" not in records and not all("source" in one for one in fields.values()):
            yield f"{records['@id']}: a field has neither source nor data"
