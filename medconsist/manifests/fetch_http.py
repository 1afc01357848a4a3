"""One answer of a web server, from a byte on: HTTP and HTTPS alone, by the standard library."""

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import medconsist
from medconsist.errors import RefusedInputError

__all__ = ["Answer", "BrokenError", "GoneError", "open_at"]

_MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
_TOO_FAR = 416
_PART = 206
_LENGTH = re.compile(r"\d{1,18}")  # Python refuses numbers of thousands of digits
_RANGE = re.compile(r"bytes (?P<begin>\d{1,18})-\d+/(?P<total>\d{1,18}|\*)")


class BrokenError(Exception):
    """The connection did not bring what it should; trying again may help."""


class GoneError(Exception):
    """There is nothing from that byte on."""


@dataclass(frozen=True)
class Answer:
    """What a server sends.

    Parameters
    ----------
    begin
        Place of its first byte in the file: 0 where the server sends the whole file.
    total
        Bytes of the file; None if the server does not say.
    validator
        What an ``If-Range`` may name: a strong ETag, else Last-Modified, else None.

    Examples
    --------
    >>> Answer(begin=0, total=3, validator=None, body=None).total
    3
    """

    begin: int
    total: int | None
    validator: str | None
    body: Any  # http.client.HTTPResponse, or what a redirection makes of it

    def read(self, count: int) -> bytes:
        """Return the next bytes, at most so many; none at the end.

        Raises
        ------
        BrokenError
            The connection broke.
        """
        try:
            data: bytes = self.body.read(count)
        except (OSError, http.client.HTTPException) as error:
            raise BrokenError(_said(error)) from error
        return data


@contextmanager
def open_at(
    url: str, *, begin: int, validator: str | None, timeout_s: float | int
) -> Iterator[Answer]:
    """Ask for a file from a byte on.

    Parameters
    ----------
    url
        Of the file; redirections to other web addresses are followed.
    begin
        First byte that is wanted.
    validator
        Of the file that the earlier bytes are of: of another one, all is sent.
    timeout_s
        Of each wait [s].

    Raises
    ------
    BrokenError
        No answer, or one that asks to try later.
    GoneError
        There is nothing from ``begin`` on.
    RefusedInputError
        The server refuses.
    """
    headers = {
        "User-Agent": f"medconsist/{medconsist.__version__}",
        "Accept-Encoding": "identity",  # bytes of the file itself, or places mean nothing
    }
    if begin:
        headers["Range"] = f"bytes={begin}-"
        if validator is not None:
            headers["If-Range"] = validator
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  the opener knows no other scheme
    try:
        response = _opener().open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            _raise(url, error)
    except (OSError, http.client.HTTPException) as error:
        raise BrokenError(_said(error)) from error
    with response:
        yield _answer(response, begin)


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _raise(url: str, error: urllib.error.HTTPError) -> None:
    if error.code == _TOO_FAR:
        raise GoneError from error
    if error.code in _MAY_PASS:
        msg = f"the server says {error.code} {error.reason}"
        raise BrokenError(msg) from error
    msg = f"{url}: the server says {error.code} {error.reason}. Look at the page of the data set."
    raise RefusedInputError(msg) from error


def _answer(response: Any, asked: int) -> Answer:  # noqa: ANN401  see Answer.body
    head = response.headers
    etag = head.get("ETag", "")
    validator = etag if etag.startswith('"') else head.get("Last-Modified")
    if response.status != _PART:
        length = head.get("Content-Length", "")
        return Answer(0, int(length) if _LENGTH.fullmatch(length) else None, validator, response)
    found = _RANGE.fullmatch(head.get("Content-Range", ""))
    if found is None or int(found["begin"]) != asked:
        msg = f"the server sends another part than from byte {asked:,} on"
        raise BrokenError(msg)
    total = None if found["total"] == "*" else int(found["total"])
    return Answer(asked, total, validator, response)


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
