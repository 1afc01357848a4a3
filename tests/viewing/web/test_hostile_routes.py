"""Every route that is registered, without a right, with hostile names, and with absurd numbers."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from medconsist.results.store import ResultStore
from medconsist.viewing.web.desk import Desk
from medconsist.viewing.web.headers import CONTENT_POLICY, SecurityHeaders
from medconsist.viewing.web.routes import api_routes
from medconsist.viewing.web.slide_routes import SLIDE_IDENTITY
from medconsist.viewing.web.tickets import Purpose, Ticket, TicketOffice
from tests.viewing.signals import predict_signals
from tests.viewing.slides import embed_small
from tests.viewing.web.asgi import Answer, answered, get

OFFICE = TicketOffice(b"k" * 32)
ROUTES = [
    route.path.removeprefix("/{study}/{case}/{key}/")
    for route in api_routes(Desk(Path("none"), OFFICE, may=lambda _ticket: True))
]
PART = re.compile(r"\{\w+\}")
HOSTILE = (
    "../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "<script>alert(1)</script>",
    "\u202egnp",
    "a\x00b",
    "x" * 4096,
    "\u0661",
    "-1",
    "1e9",
    "9" * 5000,
)
ABSURD = (
    "",
    "x",
    "nan",
    "inf",
    "-1",
    "1e308",
    "-1e308",
    "9" * 5000,
    "<script>",
    "\u0661",
    "1e-320",
)
QUERIES: dict[str, dict[str, str]] = {
    "region/{role}": {"plane": "0", "top": "0", "left": "0", "bottom": "4", "right": "4"},
    "slide/region.jpg": {"x": "0", "y": "0", "w": "64", "h": "64"},
    "signal/{number}/samples": {
        "start": "0",
        "stop": "50",
        "points": "20",
        "channel": "0",
        "montage": "recorded",
        "above": "0.5",
        "below": "40",
        "notch": "20",
    },
    "signal/{number}/intervals": {"start": "0"},
    "signal/{number}/bands": {
        "start": "0",
        "stop": "4",
        "montage": "recorded",
        "above": "0.5",
        "below": "40",
        "notch": "20",
    },
}


def purpose_of(path: str) -> Purpose:
    """Return what a ticket for this address must be for."""
    return "identity" if path in SLIDE_IDENTITY else "view"


class Site:
    """An application over results of all three kinds."""

    def __init__(self, root: Path) -> None:
        self.looks = list[str]()
        self.desk = Desk(
            root,
            OFFICE,
            may=lambda _ticket: True,
            wrote=lambda _ticket, _result, what: self.looks.append(what),
        )
        routes = [Mount("/api", routes=api_routes(self.desk))]
        self.app = SecurityHeaders(Starlette(routes=routes))
        found = [
            ResultStore(root, study).read(case).result
            for study in sorted(one.name for one in root.iterdir() if one.is_dir())
            for case in ResultStore(root, study).cases()
        ]
        self.of_kind = {one.kind.partition(".")[0]: one for one in found}

    def result_for(self, path: str) -> Any:
        kinds = {"sli": "wsi", "map": "wsi", "val": "wsi", "sig": "timeseries"}
        return self.of_kind[kinds.get(path[:3], "mri")]

    def ticket(self, path: str) -> Ticket:
        one = self.result_for(path)
        return Ticket(
            subject="u",
            session="s",
            study=one.study,
            case=one.case,
            key=one.key,
            purpose=purpose_of(path),
        )

    def ask(self, path: str, spelled: str, ticket: str | None = None, **query: Any) -> Answer:
        one = self.result_for(path)
        own = self.ticket(path)
        address = f"/api/{one.study}/{one.case}/{one.key}/{spelled}"
        return get(self.app, address, t=OFFICE.sign(own) if ticket is None else ticket, **query)


@pytest.fixture(scope="module")
def site(write_result: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("hostile") / "results"
    write_result(folder)
    embed_small(folder)
    predict_signals(folder.parent)
    made = Site(folder)
    with closing(made.desk):
        yield made


def refused(answer: Answer, statuses: tuple[int, ...], *, unsaid: str) -> None:
    assert answer.status in statuses
    assert answer.headers["content-security-policy"] == CONTENT_POLICY
    assert answer.headers["cache-control"] == "no-store"
    if len(unsaid) > 1:
        assert unsaid.encode() not in answer.body


def test_all_routes_are_asked() -> None:
    wanted = {"mask/{number}.png", "values/{role}", "slide/region.jpg", *QUERIES, *SLIDE_IDENTITY}
    assert wanted <= set(ROUTES)


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_answers_without_a_ticket_of_this_result(
    site: Site, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, spelled = site.result_for(path), PART.sub("0", path)
    own = site.ticket(path)
    wrong: Purpose = "view" if own.purpose == "identity" else "identity"
    foreign = TicketOffice(b"f" * 32).sign(own)
    others = [
        OFFICE.sign(other)
        for other in (
            replace(own, study="x"),
            replace(own, case="x"),
            replace(own, key="9" * 64),
            replace(own, purpose=wrong),
        )
    ]
    signed = OFFICE.sign(own)
    for ticket in ("", "x", "x" * 5000, foreign, signed[:-1], *others):
        refused(site.ask(path, spelled, ticket), (403,), unsaid=one.case)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + OFFICE.seconds + 2)
    refused(site.ask(path, spelled, signed), (403,), unsaid=one.case)


@pytest.mark.parametrize("path", [one for one in ROUTES if "{" in one])
def test_hostile_names_are_refused_and_not_said_back(site: Site, path: str) -> None:
    for name in HOSTILE:
        spelled = name.join(PART.split(path))
        answer = site.ask(path, spelled, **QUERIES.get(path, {}))
        assert answer.status in (400, 404)
        assert answer.headers["content-security-policy"] == CONTENT_POLICY
        assert len(name) == 1 or name.encode() not in answer.body
    assert site.looks == []


@pytest.mark.parametrize("path", sorted(QUERIES))
def test_absurd_numbers_are_answered_or_refused_and_never_break(site: Site, path: str) -> None:
    result = site.result_for(path)
    roles = [one.role for one in result.arrays if one.axes[:1] == ("slices",)] or ["0"]
    spelled = path.replace("{role}", roles[0]).replace("{number}", "0")
    assert site.ask(path, spelled, **QUERIES[path]).status == 200
    for name in QUERIES[path]:
        for value in ABSURD:
            answer = site.ask(path, spelled, **QUERIES[path] | {name: value})
            assert answer.status in (200, 400, 404), (name, value)
            assert len(answer.body) < 2**20
            assert b"<script>" not in answer.body


def test_few_heavy_answers_are_made_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, running, most = Lock(), [0], [0]

    def slow(*_: object) -> bytes:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
        return b"x"

    monkeypatch.setattr("medconsist.viewing.web.routes.display_nifti", slow)
    one = site.of_kind["mri"]
    own = Ticket(subject="u", session="s", study=one.study, case=one.case, key=one.key)
    address = f"/api/{one.study}/{one.case}/{one.key}/volume/reconstruction.nii"

    async def crowd() -> list[int]:
        asked = [answered(site.app, address, t=OFFICE.sign(own)) for _ in range(20)]
        return [answer.status for answer in await asyncio.gather(*asked)]

    assert asyncio.run(crowd()) == [200] * 20
    assert 1 <= most[0] <= 4
