"""Label and macro images: to whom, on which record, and nothing where it cannot be written."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount

from medconsist.errors import AccessError
from medconsist.results.store import StoredResult
from medconsist.review.access import Person
from medconsist.review.records import Opinion
from medconsist.review.verify import verify
from medconsist.viewing.review_form import Form, file_seen, impression_of
from medconsist.viewing.web.routes import api_routes
from medconsist.viewing.web.server import Opened, Server
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.web.tickets import Ticket
from tests.viewing.slides import embed_small
from tests.viewing.web.asgi import Answer, get
from tests.wsi.small_slide import write_small_slide

ROLES = {"sina": "signer", "ada": "admin", "rolf": "reader", "vera": "viewer", "carl": "auditor"}
SEES = {"sina", "ada"}
STRANGER = "there is no such case here, or you may not look at it"


def person(name: str) -> Person:
    return Person(subject=name, name=name.capitalize(), session=f"session of {name}")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResult:
    return embed_small(tmp_path_factory.mktemp("labels") / "results")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "review.db"


@pytest.fixture
def server(stored: StoredResult, database: Path) -> Iterator[Server]:
    server = made(stored, str(database))
    with closing(server.desk):
        yield server


def made(stored: StoredResult, database: str, **more: Any) -> Server:
    """Return a server over the results, on which everybody of `ROLES` has theirs."""
    root = stored.folder.path.parents[2]
    server = Server(ViewerSettings(results=root, database=database, **more))
    if server.store is not None:
        for name, role in ROLES.items():
            server.store.grant(None, name, "wsi", role)
    return server


def ask(server: Server, opened: Opened, name: str) -> Answer:
    app = Starlette(routes=[Mount("/api", routes=api_routes(server.desk))])
    return get(app, f"{opened.api}/slide/associated/{name}.jpg", t=opened.ticket)


def looks(database: Path) -> list[tuple[str, ...]]:
    """What the audit chain says of looks at pictures of the glass."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(
            "SELECT actor, role, session, action, object_type FROM audit "
            "WHERE object_type LIKE '% image' ORDER BY seq"
        )
        return found.fetchall()


def held(server: Server, name: str, stored: StoredResult, purpose: Any = "identity") -> Opened:
    """What somebody holds who was given a ticket before, whatever the right is now."""
    result, who = stored.result, person(name)
    ticket = Ticket(
        subject=who.subject,
        session=who.session,
        study=result.study,
        case=result.case,
        key=result.key,
        purpose=purpose,
    )
    return Opened(stored, who, "signer", server.office.sign(ticket))


@pytest.mark.parametrize("name", ROLES)
def test_only_a_role_that_may_see_identity_is_given_the_label(
    server: Server, stored: StoredResult, database: Path, name: str
) -> None:
    if name in SEES:
        opened = server.opened(person(name), "wsi", "biopsy", purpose="identity")
        assert ask(server, opened, "label").status == 200
        assert looks(database) == [
            (name, ROLES[name], f"session of {name}", "viewed", "label image")
        ]
        return
    with pytest.raises(AccessError, match=STRANGER):
        server.opened(person(name), "wsi", "biopsy", purpose="identity")
    with pytest.raises(AccessError, match=STRANGER):
        server.opened(person("stranger"), "wsi", "biopsy", purpose="identity")
    answers = [ask(server, held(server, who, stored), "label") for who in (name, "stranger")]
    assert [one.status for one in answers] == [403, 403]
    assert answers[0].body == answers[1].body
    view = server.opened(person(name), "wsi", "biopsy", purpose="view")
    refused = [ask(server, view, one) for one in ("label", "x")]
    assert [one.status for one in refused] == [403, 403]
    assert refused[0].body == refused[1].body  # which pictures there are is not said either
    assert looks(database) == []


@pytest.mark.parametrize("name", ["label", "macro"])
def test_it_is_encoded_anew_and_kept_by_nobody(
    server: Server, stored: StoredResult, database: Path, name: str
) -> None:
    opened = server.opened(person("sina"), "wsi", "biopsy", purpose="identity")
    answer = ask(server, opened, name)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    path = server.desk.slide_file(stored)
    assert answer.body not in path.read_bytes()
    with openslide.OpenSlide(path) as slide:
        wanted = np.asarray(slide.associated_images[name].convert("RGB")).astype(int)
    picture = Image.open(io.BytesIO(answer.body))
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert np.abs(np.asarray(picture).astype(int) - wanted).mean() < 3  # quality 80
    assert ask(server, opened, name).status == 200
    assert [look[-1] for look in looks(database)] == [f"{name} image"] * 2  # each look
    assert server.store is not None
    assert verify(server.store.database).faults == ()


def test_what_cannot_be_written_down_is_not_given(server: Server, database: Path) -> None:
    opened = server.opened(person("sina"), "wsi", "biopsy", purpose="identity")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ALTER TABLE audit RENAME TO lost")
        connection.commit()
        answer = ask(server, opened, "label")
        assert answer.status == 500
        assert b"\xff\xd8" not in answer.body
        assert answer.headers["content-type"].startswith("text/plain")
        connection.execute("ALTER TABLE lost RENAME TO audit")
        connection.commit()
    assert looks(database) == []
    assert ask(server, opened, "label").status == 200


def test_without_a_review_store_nobody_sees_it(stored: StoredResult) -> None:
    server = made(stored, "none")
    with closing(server.desk):
        with pytest.raises(AccessError, match=STRANGER):
            server.opened(person("sina"), "wsi", "biopsy", purpose="identity")
        assert ask(server, held(server, "sina", stored), "label").status == 403


def test_while_the_case_is_sealed_nobody_sees_it(stored: StoredResult, database: Path) -> None:
    server = made(stored, str(database), impressions="first")
    sina, at = person("sina"), ("wsi", "biopsy")
    with closing(server.desk):
        assert server.opened(sina, *at, purpose="view").is_sealed
        with pytest.raises(AccessError, match="Sealed"):
            server.opened(sina, *at, purpose="identity")
        early = held(server, "sina", stored)
        sealed = held(server, "sina", stored, "sealed")
        assert [ask(server, one, "label").status for one in (early, sealed)] == [403, 403]
        assert looks(database) == []
        assert server.store is not None
        form = impression_of(Form(Opinion.ACCEPT), early.subject, sina)
        file_seen(server.store, server.settings.results, sina, form, as_current=True)
        assert ask(server, early, "label").status == 200
        assert ask(server, sealed, "label").status == 403
        assert len(looks(database)) == 1


def test_a_right_that_was_taken_away_ends_at_once(server: Server, database: Path) -> None:
    opened = server.opened(person("sina"), "wsi", "biopsy", purpose="identity")
    assert server.store is not None
    server.store.grant(None, "sina", "wsi", "reader")
    assert ask(server, opened, "label").status == 403
    server.store.grant(None, "sina", "wsi", "signer")
    server.sittings.end(opened.person.session)
    assert ask(server, opened, "label").status == 403
    assert looks(database) == []


def test_the_right_is_asked_for_again_as_the_look_is_written(
    server: Server, stored: StoredResult, database: Path
) -> None:
    opened = server.opened(person("sina"), "wsi", "biopsy", purpose="identity")
    assert server.store is not None
    server.store.grant(None, "sina", "wsi", "reader")  # after it was let in
    with pytest.raises(AccessError, match="to identity needs signer or admin"):
        server.desk.write_down(opened.ticket, stored, what="label image")
    assert looks(database) == []


@pytest.mark.parametrize("name", ["thumbnail", "nothing", "Label", "label.jpg", "\u0661"])
def test_there_is_no_other_picture(server: Server, database: Path, name: str) -> None:
    opened = server.opened(person("sina"), "wsi", "biopsy", purpose="identity")
    assert ask(server, opened, name).status == 404
    assert looks(database) == []


def test_another_slide_in_the_place_of_an_open_one_does_not_lend_its_label(
    tmp_path: Path, database: Path
) -> None:
    stored = embed_small(tmp_path / "results")
    server = made(stored, str(database))
    with closing(server.desk):
        opened = server.opened(person("sina"), "wsi", "biopsy", purpose="identity")
        assert ask(server, opened, "label").status == 200
        other = write_small_slide(tmp_path / "other.svs", seed=99)
        other.replace(tmp_path / "biopsy.svs")
        assert server.desk.slide(stored).associated == ("label", "macro")  # it is open still
        assert ask(server, opened, "label").status == 404
        assert len(looks(database)) == 1


def test_a_ticket_for_it_gives_nothing_else(server: Server) -> None:
    opened = server.opened(person("sina"), "wsi", "biopsy", purpose="identity")
    app = Starlette(routes=[Mount("/api", routes=api_routes(server.desk))])
    for path in ("slide", "slide/0/0_0.jpg", "slide/region.jpg", "values/novelty"):
        assert get(app, f"{opened.api}/{path}", t=opened.ticket).status == 403
