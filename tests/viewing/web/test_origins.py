"""A page of another site can neither open the channel of the page nor bring a file."""

import asyncio
from typing import Any

import pytest

from medconsist.viewing.web.headers import Message
from medconsist.viewing.web.origins import SameOrigin

PASSED = {"type": "passed"}
PROXY = "https://viewer.example.org"


def answered(kind: str, method: str = "GET", **headers: str) -> list[Message]:
    sent = list[Message]()

    async def app(_scope: Message, _receive: Any, send: Any) -> None:
        await send(PASSED)

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        sent.append(message)

    named = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": kind, "method": method, "headers": named}
    asyncio.run(SameOrigin(app, origins=[PROXY])(scope, receive, send))
    return sent


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1:9999",  # another program of this machine
        "http://localhost:8501",
        "null",
        "",
        "http://127.0.0.1:8501.evil.example",
        "https://viewer.example.org.evil.example",
        "http://viewer.example.org",
    ],
)
def test_a_page_of_another_origin_is_turned_away(origin: str) -> None:
    closed = answered("websocket", host="127.0.0.1:8501", origin=origin)
    assert closed == [{"type": "websocket.close", "code": 1008}]
    refused = answered("http", "PUT", host="127.0.0.1:8501", origin=origin)
    assert refused[0]["status"] == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8501", PROXY])
def test_the_page_itself_and_the_one_behind_the_proxy_are_let_in(origin: str) -> None:
    for kind, method in (("websocket", "GET"), ("http", "PUT"), ("http", "GET")):
        assert answered(kind, method, host="127.0.0.1:8501", origin=origin) == [PASSED]


def test_who_names_no_origin_is_no_browser_and_reading_is_for_the_policy() -> None:
    assert answered("websocket", host="127.0.0.1:8501") == [PASSED]
    assert answered("http", host="127.0.0.1:8501", origin="https://evil.example") == [PASSED]


def test_without_a_host_an_origin_is_not_its_own() -> None:
    assert answered("websocket", origin="http://")[0]["type"] == "websocket.close"
