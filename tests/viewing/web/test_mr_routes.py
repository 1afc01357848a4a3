"""The sampling mask as a picture: as stored, for who may see it, and for no other number."""

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount

from medconsist.results.store import ResultStore, StoredResult
from medconsist.viewing.web.desk import Desk
from medconsist.viewing.web.routes import api_routes
from medconsist.viewing.web.tickets import Purpose, Ticket, TicketOffice
from tests.viewing.web.asgi import Answer, get

OFFICE = TicketOffice(b"k" * 32)


@pytest.fixture
def stored(write_result: Any, tmp_path: Path) -> StoredResult:
    write_result(tmp_path)
    return ResultStore(tmp_path, "brain").read("scan-1")


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Any]:
    with closing(Desk(tmp_path, OFFICE, may=lambda _ticket: True)) as desk:
        yield Starlette(routes=[Mount("/api", routes=api_routes(desk))])


def ask(app: Any, stored: StoredResult, number: str, purpose: Purpose = "view") -> Answer:
    one = stored.result
    ticket = Ticket(
        subject="u1",
        session="s1",
        study=one.study,
        case=one.case,
        key=one.key,
        purpose=purpose,
    )
    address = f"/api/{one.study}/{one.case}/{one.key}/mask/{number}.png"
    return get(app, address, t=OFFICE.sign(ticket))


@pytest.mark.parametrize("purpose", ["view", "sealed"])
def test_the_mask_is_drawn_pixel_for_pixel_and_is_no_part_of_the_model(
    application: Any, stored: StoredResult, purpose: Purpose
) -> None:
    answer = ask(application, stored, "0", purpose)
    assert answer.status == 200
    picture = np.asarray(Image.open(io.BytesIO(answer.body)))
    assert ((picture == 255) == stored.array("sampling_mask")[0]).all()


@pytest.mark.parametrize("number", ["1", "-1", "x", "٣", "9" * 4096, "0x0"])
def test_there_is_no_other_mask(application: Any, stored: StoredResult, number: str) -> None:
    assert ask(application, stored, number).status == 404


def test_nobody_sees_it_without_a_ticket(application: Any, stored: StoredResult) -> None:
    one = stored.result
    address = f"/api/{one.study}/{one.case}/{one.key}/mask/0.png"
    assert get(application, address, t="").status == 403
