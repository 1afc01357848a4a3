"""Security headers on everything that leaves the server."""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from medconsist._extras import require

__all__ = ["CONTENT_POLICY", "SecurityHeaders", "hashes_of_scripts", "unforeseen"]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self' blob: data:",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "object-src 'none'",
        "base-uri 'self'",
    )
)
"""Nothing from another origin, nothing evaluated; components of the page come as blobs."""

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_KEPT_BY_NOBODY = (b"cache-control", b"no-store")
_POLICY = "content-security-policy"
_SCRIPTS = "script-src 'self'"
_NEVER = {b"access-control-allow-origin", b"server"}
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def hashes_of_scripts(page: str) -> tuple[str, ...]:
    """Return what a policy says to let the inline scripts of a page run, and no others.

    Examples
    --------
    >>> hashes_of_scripts("<p>none</p>")
    ()
    """
    found = (hashlib.sha256(text.encode()).digest() for text in _INLINE.findall(page))
    return tuple(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in found)


def unforeseen(_request: Any, _error: Exception) -> Any:  # noqa: ANN401  starlette
    """Return the answer to an error that nobody foresaw: the headers, and nothing of the error."""
    headers = {_POLICY: CONTENT_POLICY, **_ALWAYS, "cache-control": "no-store"}
    return require("starlette.responses", extra="viewer").PlainTextResponse(
        "this cannot be shown; the log of the server says why.", status_code=500, headers=headers
    )


class SecurityHeaders:
    """Adds the headers to every answer, and takes away what opens it to other origins.

    What says nothing of caching is kept by nobody. An answer to an error that nobody foresaw does
    not pass here: `unforeseen` makes it.

    Parameters
    ----------
    app
        What answers.
    scripts
        Of `hashes_of_scripts`, of the page that it answers with.

    Examples
    --------
    >>> SecurityHeaders(print).app is print
    True
    """

    def __init__(self, app: App, scripts: Sequence[str] = ()) -> None:
        self.app = app
        policy = CONTENT_POLICY.replace(_SCRIPTS, " ".join([_SCRIPTS, *scripts]))
        headers = {_POLICY: policy, **_ALWAYS}
        self._ours = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                dropped = _NEVER | {name for name, _ in self._ours}
                found = message.get("headers", [])
                kept = [(name, value) for name, value in found if name.lower() not in dropped]
                if all(name.lower() != b"cache-control" for name, _ in kept):
                    kept.append(_KEPT_BY_NOBODY)  # pictures and files of the page say nothing
                message = {**message, "headers": [*kept, *self._ours]}
            await send(message)

        await self.app(scope, receive, marked)
