import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from medconsist._digests import sha256_of_bytes
from medconsist.viewing.web.vendor_routes import vendor_routes
from tests.viewing.vendored import SMALL, build_small

SHA256 = sha256_of_bytes(SMALL["one.js"])
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    return Starlette(routes=vendor_routes(build_small(tmp_path_factory.mktemp("viewer"))))


def ask(app: Starlette, path: str, query: str = "", method: str = "GET", **headers: str) -> Answer:
    """Ask the application itself, as a server would (ASGI 3)."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    found = {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def test_a_library_is_served_byte_for_byte_as_javascript(app: Starlette) -> None:
    status, headers, body = ask(app, "/vendor/one.js")
    assert (status, body) == (200, SMALL["one.js"])
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["content-length"] == str(len(body))
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5", "deflate,gzip;q=1.0"])
def test_it_comes_compressed_where_that_is_accepted(app: Starlette, accepted: str) -> None:
    _, headers, body = ask(app, "/vendor/one.js", accept_encoding=accepted)
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "Accept-Encoding"
    assert len(body) < len(SMALL["one.js"]) / 5
    assert gzip.decompress(body) == SMALL["one.js"]


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip; q=0.0", "xgzip"])
def test_it_comes_plain_where_gzip_is_not_accepted(app: Starlette, accepted: str) -> None:
    _, headers, body = ask(app, "/vendor/one.js", accept_encoding=accepted)
    assert "content-encoding" not in headers
    assert body == SMALL["one.js"]


def test_only_an_address_with_the_sha256_of_the_bytes_is_kept_for_ever(app: Starlette) -> None:
    _, kept, _ = ask(app, "/vendor/one.js", f"v={SHA256}")
    assert "immutable" in kept["cache-control"]
    for query in ("", "v=", f"v={SHA256[:-1]}", f"v={'0' * 64}"):
        _, headers, body = ask(app, "/vendor/one.js", query)
        assert headers["cache-control"] == "no-cache"
        assert body == SMALL["one.js"]


@pytest.mark.parametrize("accepted", ["", "gzip"])
def test_what_has_not_changed_is_not_sent_again(app: Starlette, accepted: str) -> None:
    _, headers, _ = ask(app, "/vendor/one.js", accept_encoding=accepted)
    known = {"accept_encoding": accepted, "if_none_match": headers["etag"]}
    status, again, body = ask(app, "/vendor/one.js", **known)
    assert (status, body, again["etag"]) == (304, b"", headers["etag"])


def test_plain_and_compressed_have_different_tags(app: Starlette) -> None:
    _, plain, _ = ask(app, "/vendor/one.js")
    status, _, _ = ask(app, "/vendor/one.js", accept_encoding="gzip", if_none_match=plain["etag"])
    assert status == 200


@pytest.mark.parametrize(
    "name",
    [
        "",
        "vendor.json",
        f"{SHA256[:12]}.one.js",
        "one.js.gz",
        "one.js/",
        "ONE.JS",
        "../vendor.lock.json",
        "..%2fvendor.lock.json",
        "a/../one.js",
        "/etc/hostname",
        "one.js\0",
        "one.js%00",
        "<script>.js",
        "\u202ejs.eno",
        "x" * 4096,
    ],
)
def test_no_other_name_is_answered(app: Starlette, name: str) -> None:
    status, headers, body = ask(app, f"/vendor/{name}")
    assert (status, body) == (404, b"no such file")
    assert headers["content-type"].startswith("text/plain")
    assert headers["x-content-type-options"] == "nosniff"


def test_head_says_the_same_without_the_bytes(app: Starlette) -> None:
    status, headers, _ = ask(app, "/vendor/two.js", method="HEAD")
    assert (status, headers["content-length"]) == (200, str(len(SMALL["two.js"])))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(app: Starlette, method: str) -> None:
    assert ask(app, "/vendor/one.js", method=method)[0] == 405


def test_without_a_build_every_address_says_what_to_run(tmp_path: Path) -> None:
    app = Starlette(routes=vendor_routes(tmp_path / "vendor"))
    status, _, body = ask(app, "/vendor/niivue.js")
    assert status == 404
    assert b"make vendor" in body
    assert str(tmp_path).encode() not in body
