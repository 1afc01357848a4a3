"""A sign-in that came to nothing says so: the provider is away, or its answer was not accepted."""

import html
from urllib.parse import parse_qs

from medconsist.viewing.markup import NOTICE
from medconsist.viewing.web.headers import App, Message, Receive, Send

__all__ = ["NOT_ACCEPTED", "UNREACHABLE", "SignInAnswers"]

UNREACHABLE = (
    "The identity provider cannot be reached, or does not answer as one. Nobody is signed in, and "
    "no case is shown. Try again in a while, or tell who runs the viewer."
)
NOT_ACCEPTED = (
    "The sign-in was not accepted: the answer of the identity provider could not be checked, it "
    "has run out, or its clock and that of this viewer differ by more than two minutes. Nobody is "
    "signed in. Sign in again; if that does not help, tell who runs the viewer."
)

_LOGIN, _CALLBACK = "/auth/login", "/oauth2callback"
_COOKIE = b"_streamlit_user="
_NONE = (b"", b'""', b"null")


class SignInAnswers:
    """Puts a sentence in place of what Streamlit says of a failed sign-in.

    That is "Authentication error" where the provider cannot be asked, and nothing, but the page
    from its beginning, where its token is refused. Cookies that it clears stay cleared.

    Parameters
    ----------
    app
        What answers.

    Examples
    --------
    >>> SignInAnswers(print).app is print
    True
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = str(scope.get("path", ""))
        if scope["type"] != "http" or not path.endswith((_LOGIN, _CALLBACK)):
            await self.app(scope, receive, send)
            return
        is_replaced = False

        async def told(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start":
                found = _failed(scope, path, message)
                is_replaced = found is not None
                if found is not None:
                    await _say(*found, message, send)
                    return
            if not is_replaced:
                await send(message)

        await self.app(scope, receive, told)


def _failed(scope: Message, path: str, start: Message) -> tuple[int, str] | None:
    """Return status and sentence of a sign-in that failed; None for every other answer."""
    if path.endswith(_LOGIN):
        return (503, UNREACHABLE) if start["status"] >= 400 else None
    asked = parse_qs(bytes(scope.get("query_string", b"")).decode("latin-1"))
    if not {"code", "error"} & asked.keys():  # the way back from signing out
        return None
    is_let_in = any(
        name.lower() == b"set-cookie"
        and value.startswith(_COOKIE)
        and value[len(_COOKIE) :].split(b";", 1)[0] not in _NONE
        for name, value in start.get("headers", [])
    )
    return None if is_let_in else (403, NOT_ACCEPTED)


async def _say(status: int, words: str, start: Message, send: Send) -> None:
    kept = [(n, v) for n, v in start.get("headers", []) if n.lower() == b"set-cookie"]
    body = (
        '<!doctype html><html lang="en"><title>Not signed in</title>'
        f"<p>{html.escape(NOTICE)}</p><p>{html.escape(words)}</p>"
        '<p><a href="/">Back to the viewer</a></p></html>'
    )
    kept.append((b"content-type", b"text/html; charset=utf-8"))
    await send({**start, "status": status, "headers": kept})
    await send({"type": "http.response.body", "body": body.encode()})
