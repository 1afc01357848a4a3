"""Asks an application for an address, without a server."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def get(app: Any, path: str, *, raw: bool = False, **query: Any) -> Answer:
    """Ask for a path; ``raw`` leaves its letters as they are."""
    return asyncio.run(answered(app, path, raw=raw, **query))


async def answered(app: Any, path: str, *, raw: bool = False, **query: Any) -> Answer:
    """Ask as `get` does, beside others."""
    sent = list[MutableMapping[str, Any]]()
    spelled = path if raw else quote(path)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": spelled.encode(),
        "query_string": urlencode(query).encode(),
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], headers, body)
