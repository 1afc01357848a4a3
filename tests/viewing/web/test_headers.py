"""Every answer carries the policy, and none opens itself to other origins."""

import asyncio
import base64
import hashlib
from collections.abc import MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from medconsist.viewing.web.headers import (
    CONTENT_POLICY,
    SecurityHeaders,
    hashes_of_scripts,
    unforeseen,
)

Message = MutableMapping[str, Any]


def _answer(headers: list[tuple[bytes, bytes]], kind: str = "http") -> list[Message]:
    sent = list[Message]()

    async def app(_scope: Message, _receive: object, send: Any) -> None:
        await send({"type": f"{kind}.response.start", "status": 200, "headers": headers})
        await send({"type": f"{kind}.response.body", "body": b"x"})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(SecurityHeaders(app)({"type": kind}, receive, send))
    return sent


def test_an_answer_carries_the_policy_once() -> None:
    start, body = _answer([(b"Content-Security-Policy", b"default-src *"), (b"etag", b"1")])
    policies = [value for name, value in start["headers"] if name.lower().endswith(b"policy")]
    assert policies.count(CONTENT_POLICY.encode()) == 1
    assert (b"etag", b"1") in start["headers"]
    assert b"default-src *" not in policies
    assert body["body"] == b"x"


def test_no_answer_opens_itself_to_other_origins() -> None:
    start, _ = _answer([(b"Access-Control-Allow-Origin", b"*"), (b"server", b"uvicorn")])
    names = {name.lower() for name, _ in start["headers"]}
    assert not names & {b"access-control-allow-origin", b"server"}
    assert (b"x-content-type-options", b"nosniff") in start["headers"]


def test_what_says_nothing_of_caching_is_kept_by_nobody() -> None:
    start, _ = _answer([(b"etag", b"1")])
    assert (b"cache-control", b"no-store") in start["headers"]
    start, _ = _answer([(b"Cache-Control", b"private, max-age=900")])
    assert [name.lower() for name, _ in start["headers"]].count(b"cache-control") == 1


def test_an_error_that_nobody_foresaw_carries_the_policy_and_says_nothing() -> None:
    def broken(_request: Request) -> None:
        msg = "/data/patients/p-7"
        raise RuntimeError(msg)

    app = Starlette(
        routes=[Route("/", broken)],
        exception_handlers={Exception: unforeseen},
    )
    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert (answer.status_code, answer.headers["cache-control"]) == (500, "no-store")
    assert answer.headers["content-security-policy"] == CONTENT_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "p-7" not in answer.text


def test_a_websocket_is_passed_on_as_it_is() -> None:
    start, _ = _answer([(b"a", b"b")], kind="websocket")
    assert start["headers"] == [(b"a", b"b")]


def test_the_policy_names_no_other_origin_and_evaluates_nothing() -> None:
    assert "http" not in CONTENT_POLICY
    assert "unsafe-eval" not in CONTENT_POLICY
    assert "*" not in CONTENT_POLICY


def test_the_scripts_of_a_page_are_let_run_by_their_bytes_alone() -> None:
    page = "<script>\nx = 1\n</script><script src='a.js'></script>"
    (one,) = hashes_of_scripts(page)
    digest = hashlib.sha256(b"\nx = 1\n").digest()
    assert one == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert hashes_of_scripts(page.replace("1", "2")) != (one,)
