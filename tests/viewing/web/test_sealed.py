"""Blinded first: what a sealed ticket gives, and that nothing of the model's is in it."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from medconsist import SIMULATED_NOTE
from medconsist.errors import AccessError, RefusedInputError
from medconsist.results.store import ResultStore, studies
from medconsist.review.access import Person
from medconsist.review.records import Opinion
from medconsist.viewing.review_form import Form, file_seen, impression_of
from medconsist.viewing.sealing import is_original, sealed
from medconsist.viewing.web.routes import api_routes
from medconsist.viewing.web.server import Opened, Server
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.web.signal_routes import SIGNAL_ORIGINALS
from tests.viewing.signals import predict_signals
from tests.viewing.slides import embed_small, predict_small
from tests.viewing.web.asgi import Answer, get

ANNA = Person(subject="anna", name="A. Reader", session="s1")
CARL = Person(subject="carl", name="C. Auditor", session="s2")
ORIGINAL = {
    "slide",
    "slide/{level}/{column}_{row}.jpg",
    "volume/{role}.nii",
    "region/{role}",
    "mask/{number}.png",  # where k-space was measured
    *SIGNAL_ORIGINALS,
}
BOX = {"plane": 1, "top": 4, "left": 4, "bottom": 20, "right": 20}


@pytest.fixture(scope="module")
def root(write_result: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("sealed") / "results"
    write_result(folder)
    embed_small(folder)
    predict_small(folder)
    predict_signals(folder.parent)
    return folder


@pytest.fixture
def server(root: Path, tmp_path: Path) -> Iterator[Server]:
    settings = ViewerSettings(
        results=root, database=str(tmp_path / "review.db"), impressions="first"
    )
    made = Server(settings)
    assert made.store is not None
    made.store.grant(None, "anna", "*", "reader")
    made.store.grant(None, "carl", "*", "auditor")
    with closing(made.desk):
        yield made


def every_route(server: Server) -> list[str]:
    """All addresses below a result, as they are registered."""
    return [route.path.removeprefix("/{study}/{case}/{key}/") for route in api_routes(server.desk)]


def ask(server: Server, opened: Opened, path: str, **query: Any) -> Answer:
    app = Starlette(routes=[Mount("/api", routes=api_routes(server.desk))])
    return get(app, f"{opened.api}/{path}", t=opened.ticket, **query)


def file_first(server: Server, opened: Opened) -> None:
    assert server.store is not None
    form = impression_of(Form(Opinion.ACCEPT), opened.subject, opened.person)
    file_seen(server.store, server.settings.results, opened.person, form, as_current=True)


def test_every_route_gives_a_sealed_ticket_the_original_and_refuses_the_rest(
    server: Server,
) -> None:
    root = server.settings.results
    assert len(studies(root)) == 3
    for study in studies(root):
        case = ResultStore(root, study).cases()[0]
        opened = server.opened(ANNA, study, case, purpose="view")
        assert opened.is_sealed
        held = ResultStore(root, study).read(case, opened.result.key)
        for path in every_route(server):
            for role in set(held.roles()) - {"sampling_mask"}:  # no volume to draw
                asked = (
                    path.replace("{role}", role).replace("{number}", "0").replace("{index}", "0")
                )
                asked = asked.replace("{level}", "0").replace("{column}_{row}", "0_0")
                answer = ask(server, opened, asked, **BOX)
                is_given = path in ORIGINAL and ("{role}" not in path or is_original(role))
                assert answer.status in ((200, 400, 404) if is_given else (403,)), (study, asked)


def test_the_numbers_and_the_volume_of_the_original_are_given(server: Server) -> None:
    opened = server.opened(ANNA, "brain", "scan-1", purpose="view")
    assert ask(server, opened, "volume/zerofilled.nii").status == 200
    assert json.loads(ask(server, opened, "region/zerofilled", **BOX).body)["pixels"] > 0
    for path in ("volume/reconstruction.nii", "region/reconstruction", "map/not_determined.png"):
        answer = ask(server, opened, path, **BOX)
        assert (answer.status, b"Sealed" in answer.body) == (403, True)


def test_a_sealed_slide_names_no_map(server: Server) -> None:
    opened = server.opened(ANNA, "wsi", "biopsy", purpose="view")
    assert json.loads(ask(server, opened, "slide").body)["maps"] == {}
    assert ask(server, opened, "slide/0/0_0.jpg").status == 200


def test_a_first_impression_opens_the_seal_of_that_result_alone(server: Server) -> None:
    opened = server.opened(ANNA, "brain", "scan-1", purpose="view")
    old = opened.ticket
    file_first(server, opened)
    again = server.opened(ANNA, "brain", "scan-1", purpose="view")
    assert not again.is_sealed
    assert again.subject == opened.subject
    assert ask(server, again, "volume/reconstruction.nii").status == 200
    assert ask(server, replace(again, ticket=old), "volume/reconstruction.nii").status == 403
    assert server.opened(ANNA, "wsi", "biopsy", purpose="view").is_sealed


def test_a_ticket_that_was_given_before_the_right_to_file_is_refused(server: Server) -> None:
    opened = server.opened(CARL, "brain", "scan-1", purpose="view")
    assert not opened.is_sealed
    assert ask(server, opened, "volume/reconstruction.nii").status == 200
    assert server.store is not None
    server.store.grant(None, "carl", "brain", "reader")
    assert ask(server, opened, "volume/reconstruction.nii").status == 403


def test_a_sealed_result_holds_nothing_of_the_models(root: Path) -> None:
    stored = ResultStore(root, "brain").read("scan-1")
    shown = sealed(stored)
    assert set(shown.roles()) == {"zerofilled", "sampling_mask"}
    assert (shown.result.metrics, shown.result.trust.scores, shown.result.notes) == ((), (), ())
    assert shown.result.content_sha256 == stored.result.content_sha256
    assert shown.result.key == stored.result.key
    for read in (shown.array, shown.file, shown.record):
        with pytest.raises(AccessError, match="Sealed: what the model says"):
            read("reconstruction")
    with pytest.raises(RefusedInputError, match="no array 'nothing'"):
        shown.record("nothing")
    assert shown.array("zerofilled").shape == stored.array("zerofilled").shape


def test_that_somebody_is_simulated_is_said_while_it_is_sealed(root: Path) -> None:
    shown = sealed(ResultStore(root, "wsi").read("biopsy"))
    assert shown.result.notes in ((), (SIMULATED_NOTE,))


def test_without_the_setting_nothing_is_sealed(root: Path, tmp_path: Path) -> None:
    server = Server(ViewerSettings(results=root, database=str(tmp_path / "other.db")))
    assert server.store is not None
    server.store.grant(None, "anna", "*", "reader")
    assert not server.opened(ANNA, "brain", "scan-1", purpose="view").is_sealed
