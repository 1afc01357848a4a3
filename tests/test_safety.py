"""The safety folder agrees with the program: hazards, alarms, materials, files that leave."""

import ast
import gzip
import hashlib
import importlib.util
import inspect
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pydicom
import pytest
from pypdf import PdfReader

from medconsist.results.schema import Result
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation
from medconsist.viewing.alarm_fault_rows import FAULT_CASES
from medconsist.viewing.alarm_list import ALARMS, Level
from medconsist.viewing.alarm_raised import raised_alarms
from medconsist.viewing.alarm_rates import AlarmRates, measured_rates
from medconsist.viewing.alarm_rows import RowOfBench
from medconsist.viewing.leaving.annotations import Canvas, annotations_geojson
from medconsist.viewing.leaving.dicom_page import page_dicom
from medconsist.viewing.leaving.dicom_pm import map_pm
from medconsist.viewing.leaving.dicom_sc import picture_sc
from medconsist.viewing.leaving.dicom_seg import annotations_seg
from medconsist.viewing.leaving.dicom_source import volume_export
from medconsist.viewing.leaving.dicom_sr import review_sr
from medconsist.viewing.leaving.events import events_atr, events_csv, events_edf
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.paper import Picture
from medconsist.viewing.leaving.report import review_pdf
from medconsist.viewing.leaving.verdicts_csv import verdicts_csv
from medconsist.viewing.signal_events import SignalEvent
from tests.mri.posed import oblique
from tests.viewing.leaving.filed import draft, entry, plain_subject, shape, signed, subject_of
from tests.viewing.leaving.imaged import Imaged, imaged
from tests.viewing.signal_results import write_signals

ROOT = Path(__file__).resolve().parents[1]
SAFETY = ROOT / "docs" / "safety"
HAZARD = re.compile(r"^\| (H\d+) \| (.+) \|$", re.MULTILINE)
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
SEVERITIES = {"high", "medium", "low"}
SENTENCE = r"research\s+use\s+only\W+not\s+for\s+diagnosis"
PDF, DICOM, NIFTI = "application/pdf", "application/dicom", "application/gzip"
BYTES = "application/octet-stream"  # WFDB and EDF+


def script(name: str) -> ModuleType:
    """Return a script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hazards() -> dict[str, list[str]]:
    """Return the cells of each hazard: area, hazard, cause, harm, severity, control, tests."""
    found = HAZARD.findall((SAFETY / "hazards.md").read_text())
    assert len({number for number, _ in found}) == len(found), "an id stands twice"
    return {number: cells.split(" | ") for number, cells in found}


@cache
def functions(file: str) -> frozenset[str]:
    """Return the names of the tests of a file, which is parsed and not run."""
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_hazard_has_cause_harm_severity_control_and_a_test() -> None:
    for number, cells in hazards().items():
        assert len(cells) == 7, number
        assert all(cell.strip(" -") for cell in cells), number
        assert cells[4] in SEVERITIES, number
        assert TEST_ID.search(cells[6]), number


def test_hazards_are_numbered_without_a_gap() -> None:
    numbers = [int(number.removeprefix("H")) for number in hazards()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_test_that_covers_a_hazard_exists() -> None:
    for number, cells in hazards().items():
        named = TEST_ID.findall(cells[6])
        assert cells[6].count("::") == len(named), f"{number}: an id that cannot be read"
        for file, name in named:
            assert (ROOT / file).is_file(), f"{number}: {file}"
            assert name in functions(file), f"{number}: {file}::{name}"
            assert name.startswith("test_")


def test_every_page_of_the_folder_says_what_it_is_for() -> None:
    for page in SAFETY.glob("*.md"):
        assert re.search(SENTENCE, page.read_text(), re.IGNORECASE), page.name


def test_alarms_have_one_name_each_a_level_and_a_look() -> None:
    names = [alarm.name for alarm in ALARMS]
    assert len(set(names)) == len(names)
    assert {alarm.level for alarm in ALARMS} == set(get_args(Level))
    source = inspect.getsource(inspect.getmodule(raised_alarms) or script)
    unseen = [alarm.name for alarm in ALARMS if alarm.kinds and f'"{alarm.name}"' not in source]
    assert not unseen, "these alarms of a result are never raised"


def test_the_rates_of_the_panel_are_those_of_the_measured_figures() -> None:
    alarms = script("make_alarms")
    measured: AlarmRates = alarms.rates(alarms.MEASURED.read_text())
    assert measured_rates() == measured, "run: python docs/make_alarms.py"
    for alarm in ALARMS:
        n = sum(rate.alarm == alarm.name for rate in measured.rates)
        assert n in (0, len(alarm.rows)), alarm.name
    seen = {rate.alarm for rate in measured.rates}
    elsewhere = {"score_outside", "stream", "artefact", "other_stain", "leak"}
    assert elsewhere <= seen <= elsewhere | FAULT_CASES.keys()
    assert elsewhere | FAULT_CASES.keys() == {alarm.name for alarm in ALARMS}


def test_the_page_of_alarms_is_that_of_the_panel() -> None:
    alarms = script("make_alarms")
    assert alarms.page_text(measured_rates()) == alarms.PAGE.read_text(), (
        "run: python docs/make_alarms.py"
    )


def test_every_rate_is_a_share_within_its_interval_with_n_and_a_command() -> None:
    for rate in measured_rates().rates:
        assert rate.value <= rate.per
        assert rate.n >= 1
        assert rate.command.startswith("medconsist bench ")
        if rate.ci_low is not None and rate.ci_high is not None:
            rounding = 1e-3  # the tables have four digits
            assert rate.ci_low - rounding <= rate.value <= rate.ci_high + rounding


def test_a_table_of_figures_is_read_by_its_columns() -> None:
    page = (
        "## `medconsist bench one`\n\n```text\n"
        "case      metric  value    baseline  95 % interval   n\n"
        "a, b c    share   0.25     -         0.1 to 0.4      20 x planted case\n"
        "-, minus  time    1.5e-05 s  -       -               3 x run\n"
        "```\n"
    )
    rows = script("make_alarms").measured_rows(page)
    found = rows["one", "a, b c", "share"]
    assert (found.value, found.ci_low, found.ci_high) == (0.25, 0.1, 0.4)
    assert (found.n, found.unit_of_analysis) == (20, "planted case")


def test_a_row_that_is_mistyped_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms = script("make_alarms")
    known = next(alarm for alarm in ALARMS if alarm.name == "artefact")
    wrong = replace(known.rows[0], metric="sensitivty")
    monkeypatch.setattr(alarms, "ALARMS", (replace(known, rows=(*known.rows, wrong)),))
    with pytest.raises(SystemExit, match=r"1 rows of artefact are not there, .* sensitivty"):
        alarms.rates(alarms.MEASURED.read_text())


def test_an_alarm_that_no_bench_has_measured_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms = script("make_alarms")
    row = RowOfBench(rate="true", bench="none", case="a", metric="b", condition="c")
    monkeypatch.setattr(alarms, "ALARMS", (replace(ALARMS[0], rows=(row,)),))
    assert not alarms.rates(alarms.MEASURED.read_text()).rates


def test_the_bill_of_materials_is_current() -> None:
    bill = script("make_sbom")
    assert bill.text() == bill.PAGE.read_text(), "run: python docs/make_sbom.py"


def test_the_bill_of_materials_names_every_pin_every_script_and_the_weights() -> None:
    bill = script("make_sbom")
    components = bill.bill_of_materials()["components"]
    refs = [one["bom-ref"] for one in components]
    assert len(set(refs)) == len(refs)
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    assert sum(ref.startswith("pkg:pypi/") for ref in refs) == len(pins)
    lock = json.loads((ROOT / "apps" / "viewer" / "package-lock.json").read_text())
    assert sum(ref.startswith("pkg:npm/") for ref in refs) == len(lock["packages"]) - 1
    weights = {
        one["name"]: one["hashes"][0]["content"] for one in components if "model" in one["type"]
    }
    for path in (ROOT / "medconsist" / "mri" / "weights").glob("*.safetensors"):
        assert weights[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_bill_of_materials_holds_no_address_and_no_dangling_reference() -> None:
    bill = script("make_sbom")
    assert "://" not in bill.text()
    whole = bill.bill_of_materials()
    known = {one["bom-ref"] for one in whole["components"]}
    known.add(whole["metadata"]["component"]["bom-ref"])
    for edge in whole["dependencies"]:
        assert {edge["ref"], *edge["dependsOn"]} <= known


def _pdf(case: Imaged) -> Export:
    return review_pdf(case.review())


def _draft_pdf(case: Imaged) -> Export:
    return review_pdf(case.review(thread=[entry(draft(case.subject), "v1")]))


def _csv(case: Imaged) -> Export:
    return verdicts_csv(case.result.study, [entry(signed(case.subject), "v1")])


def _geojson(case: Imaged) -> Export:
    del case  # shapes of slides alone leave so
    ring = [[0.0, 0.0], [9.0, 0.0], [9.0, 9.0], [0.0, 0.0]]
    drawn = [entry(shape(plain_subject(), ring), "a1")]
    return annotations_geojson("slide-1", drawn, canvas=Canvas(width=20, height=20))


def _nifti(case: Imaged) -> Export:
    return volume_export(case.stored, to="nifti")


def _image(case: Imaged) -> Export:
    return case.image


def _page(case: Imaged) -> Export:
    return page_dicom(case.review(), source=case.source)


def _picture(case: Imaged) -> Export:
    picture = Picture(pixels=np.zeros((8, 8, 3), np.uint8), caption="a screen")
    return picture_sc(case.review(pictures=(picture,)), 0, source=case.source)


def _sr(case: Imaged) -> Export:
    return review_sr(case.review(), source=case.source)


def _seg(case: Imaged) -> Export:
    ring = [[1.0, 1.0], [5.0, 1.0], [5.0, 5.0], [1.0, 1.0]]
    drawn = shape(case.subject, ring, plane=0)
    return annotations_seg(case.result, [entry(drawn, "a1")], source=case.source)


def _map(case: Imaged) -> Export:
    return map_pm(case.stored, "not_determined", source=case.source)


def _marked() -> tuple[Result, list[Entry]]:
    with tempfile.TemporaryDirectory() as folder:
        result = write_signals(Path(folder)).result
    geometry = SignalEvent(recording=0, at=(1.0, 1.0)).geometry
    body = Annotation(subject=subject_of(result), geometry=geometry, label="beat-normal")
    return result, [entry(body, "a1")]


def _events(case: Imaged) -> Export:
    del case  # events of recordings alone leave so
    return events_csv(*_marked())


def _events_wfdb(case: Imaged) -> Export:
    del case
    return events_atr(*_marked(), 0)


def _events_edf(case: Imaged) -> Export:
    del case
    return events_edf(*_marked(), 0)


LEAVING: dict[str, tuple[Callable[[Imaged], Export], ...]] = {
    "review_pdf": (_pdf, _draft_pdf),
    "verdicts_csv": (_csv,),
    "annotations_geojson": (_geojson,),
    "volume_export": (_image, _nifti),
    "page_dicom": (_page,),
    "picture_sc": (_picture,),
    "review_sr": (_sr,),
    "annotations_seg": (_seg,),
    "map_pm": (_map,),
    "events_csv": (_events,),
    "events_atr": (_events_wfdb,),
    "events_edf": (_events_edf,),
}
"""Every function that makes a file which leaves, and how it is asked. Add yours."""

ELSEWHERE = {
    "annotations_ann": (
        "tests/viewing/leaving/test_dicom_slide.py",
        "test_dcmtk_accepts_the_file_and_it_says_what_it_is",
    )
}
"""Those that need a real file, and the test that looks for the words."""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Imaged:
    return imaged(tmp_path_factory.mktemp("leaving"), oblique())


@pytest.mark.parametrize(
    "make", [make for each in LEAVING.values() for make in each], ids=lambda make: make.__name__
)
def test_a_file_that_leaves_says_what_it_is_for(
    make: Callable[[Imaged], Export], case: Imaged
) -> None:
    export = make(case)
    parts = list(written_in(export))
    assert parts
    # a description of NIfTI holds 79 letters: the second half of the sentence may not fit
    wanted = "research use only" if export.media_type == NIFTI else SENTENCE
    for part in parts:
        assert re.search(wanted, part, re.IGNORECASE), f"{export.name}: {part[:200]}"


def test_every_screen_says_what_it_is_for() -> None:
    folder = ROOT / "apps" / "viewer" / "screens"
    sources = {path.stem: path.read_text() for path in folder.glob("*.py")}
    # a screen of a result stands in the one frame, whose title has the sentence
    title = sources["parts"].partition("def draw_title")[2].partition("\ndef ")[0]
    assert "{NOTICE}" in title
    assert "draw_title(" in sources["frame"]
    screens = ["worklist", "sitting", "idle"]
    screens += [name for name in sources if re.fullmatch("(still_)?(mr|slide|signal)", name)]
    assert len(screens) >= 6
    for name in screens:
        assert "with framed(" in sources[name] or "{NOTICE}" in sources[name], name


def test_every_function_that_makes_a_file_which_leaves_is_in_the_list() -> None:
    folder = ROOT / "medconsist" / "viewing" / "leaving"
    helpers = {"as_export"}  # writes what others made
    made = {
        node.name
        for path in sorted(folder.glob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and "Export" in ast.unparse(node.returns or ast.Pass())
    }
    listed = LEAVING.keys() | ELSEWHERE.keys()
    assert {name for name in made if not name.startswith("_")} - helpers == listed
    assert all(test in functions(file) for file, test in ELSEWHERE.values())


def written_in(export: Export) -> Iterator[str]:
    """Yield what a reader of the file sees: each page, each row, or the text of the whole file."""
    kind = export.media_type.partition(";")[0]
    if kind == PDF:
        yield from (page.extract_text() for page in PdfReader(io.BytesIO(export.data)).pages)
    elif kind == DICOM:
        yield " ".join(map(str, _values(pydicom.dcmread(io.BytesIO(export.data)))))
    elif kind == NIFTI:
        yield gzip.decompress(export.data)[148:228].decode("ascii")  # descrip, nifti1.h
    elif kind == BYTES:
        yield export.data.decode("latin-1")  # words between numbers
    elif kind == "text/csv":
        yield from export.data.decode().splitlines()[1:]
    else:
        yield export.data.decode()


def _values(dataset: Any) -> Iterator[object]:
    for one in dataset.iterall():
        if one.VR not in ("OB", "OW", "SQ", "UN"):
            yield one.value
