"""Only a page of the viewer itself may talk to it; that of another site or port is turned away."""

from collections.abc import Collection
from typing import Any

from medconsist.viewing.web.headers import App, Message, Receive, Send

__all__ = ["SameOrigin"]

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


class SameOrigin:
    """Refuses a websocket, and a request that changes something, of a page of another origin.

    A browser lets any page open a websocket to any address, with the rights of who sits there.
    Streamlit lets in every port of this machine, and for a foreign origin asks a service of the
    internet for the own address.

    Parameters
    ----------
    app
        What answers.
    origins
        Under which readers reach the viewer by a proxy, e.g. ``https://viewer.example.org``; the
        origin that the request itself names as its host always counts.

    Examples
    --------
    >>> SameOrigin(print, origins=()).app is print
    True
    """

    def __init__(self, app: App, origins: Collection[str]) -> None:
        self.app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        kind = scope["type"]
        asks = kind == "websocket" or (kind == "http" and scope["method"] not in _READS)
        if not asks or self._is_own(scope):
            await self.app(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": b"this page is of another site."})

    def _is_own(self, scope: Message) -> bool:
        named = _named(scope)
        origin, host = named.get("origin"), named.get("host", "")
        own = {f"{scheme}://{host}" for scheme in ("http", "https")} if host else set()
        return origin is None or origin in self._origins | own


def _named(scope: Message) -> dict[str, Any]:
    """Return origin and host; of a header that comes twice, one value that is none."""
    found = dict[str, str]()
    for name, value in scope.get("headers", []):
        key = name.decode("latin-1").lower()
        if key in ("origin", "host"):
            found[key] = "" if key in found else value.decode("latin-1")
    return found
