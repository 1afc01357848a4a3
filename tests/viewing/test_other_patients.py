"""Who reads of one patient learns nothing of the patients that a model was trained on."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from starlette.applications import Starlette
from starlette.routing import Mount
from streamlit.testing.v1 import AppTest

from medconsist.errors import AccessError
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore
from medconsist.review.access import Person
from medconsist.review.database import Database, sqlite_url
from medconsist.review.store import ReviewStore
from medconsist.timeseries.predict import SignalJob, predict_patient
from medconsist.timeseries.trained import fit_probe
from medconsist.viewing.launch import page
from medconsist.viewing.leaving.report import Review, review_pdf
from medconsist.viewing.signal_words import without_other_patients
from medconsist.viewing.web.routes import api_routes
from medconsist.viewing.web.server import Opened, Server, local_person
from medconsist.viewing.web.settings import ViewerSettings
from tests.timeseries.small_signals import (
    new_recording,
    small_cohort,
    small_comet,
    small_data,
    write_wfdb,
)
from tests.viewing.leaving.filed import LINK, entry, signed, subject_of
from tests.viewing.signal_results import NOTES, write_signals
from tests.viewing.web.asgi import Answer, get
from tests.viewing.worklist_cases import finish

ANNA = Person(subject="anna", name="A. Reader", session="s1")
BOTH = Person(subject="both", name="B. Reader", session="s2")
OTHERS = "cohort-b"  # the study of the patients that the model was trained on
PLACE = re.compile(r"\{([a-z]+)[^}]*\}")


@dataclass(frozen=True)
class Cohorts:
    """A study of one patient, and that of the patients of the model."""

    root: Path
    result: Result
    others: tuple[str, ...]


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Cohorts:
    """A prediction by a model of study B in study A, and a result of each of its patients in B."""
    folder = tmp_path_factory.mktemp("cohorts")
    root = folder / "results"
    data = replace(small_data(small_cohort(patients=8)), study=OTHERS)
    model = fit_probe(small_comet(), data, folder / "model", name="comet")
    for patient in model.reference.patients:
        finish(root, f"case-of-{patient}", study=OTHERS, patient=patient)
    path = write_wfdb(new_recording(), folder / "in", "r50")
    job = SignalJob(out=root, paths=(path,), card=model.card, patient="p-3")
    result = predict_patient(job, model).stored.result
    write_signals(root, "before")  # as it was written when notes named patients
    return Cohorts(root, result, (*model.reference.patients, "secret-7", "secret-2"))


@pytest.fixture
def server(cohorts: Cohorts, tmp_path: Path) -> Iterator[Server]:
    made = Server(ViewerSettings(results=cohorts.root, database=str(tmp_path / "review.db")))
    assert made.store is not None
    made.store.grant(None, "anna", "signals", "reader")
    made.store.grant(None, "both", "*", "reader")
    with closing(made.desk):
        yield made


def named(text: str, cohorts: Cohorts) -> list[str]:
    """The patients of the other study that a text names."""
    return [patient for patient in cohorts.others if patient in text]


def filled(where: dict[str, str], found: re.Match[str]) -> str:
    """What stands for a place of an address; numbers are 0."""
    return where.get(found[1], "0")


def ask(server: Server, at: Opened, path: str, **query: Any) -> Answer:
    app = Starlette(routes=[Mount("/api", routes=api_routes(server.desk))])
    return get(app, path, t=at.ticket, **query)


def test_a_prediction_stores_no_id_of_a_training_patient(cohorts: Cohorts) -> None:
    (near,) = [note for note in cohorts.result.notes if note.startswith("Nearest training")]
    assert "one of patient A (" in near
    store = ResultStore(cohorts.root, "signals")
    folder = store.case_path(cohorts.result.case)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not named("\n".join(path.read_bytes().decode("latin-1") for path in files), cohorts)


@pytest.mark.parametrize("which", ["now", "before"])
def test_a_reader_of_one_study_gets_neither_trials_nor_ids_of_another(
    server: Server, cohorts: Cohorts, which: str
) -> None:
    case = cohorts.result.case if which == "now" else "before"
    opened = server.opened(ANNA, "signals", case, purpose="view")
    assert server.studies(ANNA) == ("signals",)
    notes = " ".join(opened.result.notes)
    assert not named(notes, cohorts)
    # cohort-a of the older result is no study here, so that its classes are told without ids
    assert ("Nearest training trials" in notes) == (which == "before")
    assert (
        opened.result.content_sha256
        == server.opened(BOTH, "signals", case, purpose="view").result.content_sha256
    )
    told = []
    for route in api_routes(server.desk):
        for role in opened.stored.roles():
            where = {"study": "signals", "case": case, "key": opened.result.key, "role": role}
            path = PLACE.sub(partial(filled, where), f"/api{route.path}")
            answer = ask(server, opened, path, start=0, stop=50)
            told.append(answer.status)
            assert not named(answer.body.decode("latin-1"), cohorts)
    assert 200 in told


def test_who_may_see_both_studies_is_told_classes_and_no_ids(
    server: Server, cohorts: Cohorts
) -> None:
    opened = server.opened(BOTH, "signals", cohorts.result.case, purpose="view")
    notes = " ".join(opened.result.notes)
    assert "Nearest training trials of other patients: one of patient A (" in notes
    assert not named(notes, cohorts)


def test_the_other_study_is_as_if_it_were_not_there(server: Server, cohorts: Cohorts) -> None:
    said = set()
    for study in (OTHERS, "no-such-study"):
        with pytest.raises(AccessError) as caught:
            server.opened(ANNA, study, f"case-of-{cohorts.others[0]}", purpose="view")
        said.add(str(caught.value))
    assert len(said) == 1
    opened = server.opened(ANNA, "signals", cohorts.result.case, purpose="view")
    theirs = server.opened(BOTH, OTHERS, f"case-of-{cohorts.others[0]}", purpose="view")
    assert ask(server, opened, f"{theirs.api}/signal/0/samples", start=0, stop=9).status == 403


@pytest.mark.parametrize("which", ["now", "before"])
def test_a_report_names_no_training_patient(server: Server, cohorts: Cohorts, which: str) -> None:
    case = cohorts.result.case if which == "now" else "before"
    result = server.opened(ANNA, "signals", case, purpose="view").result
    thread = [entry(signed(subject_of(result)), "v1")]
    made = review_pdf(Review(result=result, thread=thread, entry="v1", links={"v1": LINK}))
    pages = PdfReader(io.BytesIO(made.data)).pages
    text = " ".join(page.extract_text() for page in pages)
    assert "Notes" in text
    assert not named(text, cohorts)


@pytest.mark.parametrize("which", ["now", "before"])
def test_the_page_names_no_training_patient(
    cohorts: Cohorts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    with closing(Database(sqlite_url(tmp_path / "review.db"))) as database:
        ReviewStore(database).grant(None, local_person("x").subject, "signals", "signer")
    monkeypatch.setenv("MEDCONSIST_RESULTS", str(cohorts.root))
    monkeypatch.setenv("MEDCONSIST_DB", str(tmp_path / "review.db"))
    app = AppTest.from_file(str(page()), default_timeout=60)
    app.query_params["study"] = "signals"
    app.query_params["case"] = cohorts.result.case if which == "now" else "before"
    app.run()
    assert not app.exception
    told = [element.proto.body for element in app.get("html")]
    told += [element.proto.json for element in app.get("bidi_component")]
    assert "Nearest trials of other patients" in "".join(told)
    assert not named(json.dumps(told), cohorts)


def test_a_note_that_cannot_be_understood_is_left_out(cohorts: Cohorts) -> None:
    note = "Nearest training trials of other patients: p-8 and p-9."
    result = cohorts.result.model_copy(update={"notes": (NOTES[0], note)})
    found = without_other_patients(result, studies=(), may_see=lambda _study: True)
    assert found.notes == (NOTES[0],)
