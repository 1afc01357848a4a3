"""An identity provider that is away, and tokens out of their time: a sentence, and no access."""

import http.cookiejar
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from medconsist.review.database import Database, sqlite_url
from medconsist.review.store import ReviewStore
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.web.sign_in import NOT_ACCEPTED, UNREACHABLE
from tests.viewing.access.mock_provider import CLIENT, SECRET, MockProvider, running
from tests.viewing.served import free_port, served

COOKIE = "_streamlit_user"
COOKIE_SECRET = "c" * 40
WITHIN_S = 60  # of the two minutes that clocks may differ
BEYOND_S = 300


@dataclass
class Visitor:
    """A browser without a page: it keeps cookies and follows redirects."""

    address: str
    jar: http.cookiejar.CookieJar = field(default_factory=http.cookiejar.CookieJar)

    def get(self, path: str) -> tuple[int, str, Any]:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        try:
            answer: Any = opener.open(f"{self.address}{path}", timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            assert isinstance(answer, HTTPResponse | urllib.error.HTTPError)
            return answer.status or 0, answer.read().decode(), answer.headers

    def sign_in(self) -> tuple[int, str, Any]:
        """Press the button: what Streamlit puts into its address says which provider is meant."""
        claims = {"provider": "default", "exp": int(time.time()) + 120}
        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(COOKIE_SECRET))
        return self.get(f"/auth/login?provider={token}")

    @property
    def is_signed_in(self) -> bool:
        return any(one.name == COOKIE and one.value for one in self.jar)


@dataclass
class Site:
    """A viewer, and its provider, which can be ended."""

    address: str
    provider: MockProvider
    running: ExitStack


def start(folder: Path, issuer: str, stack: ExitStack, write_result: Any) -> str:
    write_result(folder / "results", "scan-1")
    port = free_port()
    named = folder / "provider.toml"
    named.write_text(
        f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
        f'cookie_secret = "{COOKIE_SECRET}"\nclient_id = "{CLIENT}"\n'
        f'client_secret = "{SECRET}"\n'
        f'server_metadata_url = "{issuer}/.well-known/openid-configuration"\n'
        'client_kwargs = { prompt = "login" }\n'
    )
    named.chmod(0o600)
    database = folder / "review.db"
    store = ReviewStore(Database(sqlite_url(database)))
    store.grant(None, f"{issuer}|reader", "brain", "reader")
    store.database.close()
    settings = ViewerSettings(results=folder / "results", database=str(database), provider=named)
    address: str = stack.enter_context(served(settings, folder / "log.txt", port=port))
    return address


@pytest.fixture(scope="module")
def site(write_result: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    provider = MockProvider()
    with ExitStack() as stack, ExitStack() as ended:
        issuer = ended.enter_context(running(provider))
        address = start(tmp_path_factory.mktemp("site"), issuer, stack, write_result)
        yield Site(address, provider, ended)


def assert_no_access(visitor: Visitor) -> None:
    assert not visitor.is_signed_in
    status, body, _ = visitor.get(f"/api/brain/scan-1/{'0' * 64}/volume/reconstruction.nii")
    assert status == 403
    assert "p-7" not in body


def test_a_provider_that_is_away_from_the_start_is_a_sentence_and_no_access(
    write_result: Any, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        away = f"http://127.0.0.1:{free_port()}"
        visitor = Visitor(start(tmp_path, away, stack, write_result))
        assert visitor.get("/")[0] == 200  # the page that asks to sign in
        status, body, headers = visitor.sign_in()
        assert (status, UNREACHABLE in body) == (503, True)
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        for told in (away, "Traceback", SECRET, COOKIE_SECRET, CLIENT):
            assert told not in body
        assert_no_access(visitor)


@pytest.mark.parametrize(
    "claims",
    [{}, {"exp": -WITHIN_S}, {"iat": WITHIN_S}],
    ids=["in time", "ran out a minute ago", "of a minute from now"],
)
def test_a_token_in_time_or_within_the_leeway_signs_in(site: Site, claims: dict[str, int]) -> None:
    visitor = Visitor(site.address)
    now = int(time.time())
    site.provider.next = {"sub": "reader"} | {name: now + off for name, off in claims.items()}
    status, body, _ = visitor.sign_in()
    assert status == 200
    assert NOT_ACCEPTED not in body
    assert visitor.is_signed_in


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": -BEYOND_S},
        {"iat": BEYOND_S},
        {"nbf": BEYOND_S},
        {"aud": "another viewer"},
        {"iss": "https://elsewhere.example"},
        {"nonce": "of another sign-in"},
    ],
    ids=["ran out", "of the future", "not yet", "of another client", "of another issuer", "replay"],
)
def test_a_token_out_of_time_or_of_others_is_refused_with_a_sentence(
    site: Site, claims: dict[str, Any]
) -> None:
    visitor = Visitor(site.address)
    now = int(time.time())
    said = {name: now + one if isinstance(one, int) else one for name, one in claims.items()}
    site.provider.next = {"sub": "reader"} | said
    status, body, _ = visitor.sign_in()
    assert (status, NOT_ACCEPTED in body) == (403, True)
    assert_no_access(visitor)


def test_an_answer_that_nobody_asked_for_is_refused(site: Site) -> None:
    for query in ("code=x&state=y", "error=access_denied&error_description=<script>"):
        visitor = Visitor(site.address)
        status, body, _ = visitor.get(f"/oauth2callback?{query}")
        assert (status, NOT_ACCEPTED in body) == (403, True)
        assert "<script>" not in body
        assert_no_access(visitor)


def test_a_provider_that_goes_away_lets_nobody_in_and_everybody_out(site: Site) -> None:
    """The last of this module: the provider is ended."""
    inside, outside = Visitor(site.address), Visitor(site.address)
    site.provider.next = {"sub": "reader"}
    inside.sign_in()
    assert inside.is_signed_in
    site.running.close()
    status, body, _ = outside.sign_in()
    # what is known of the provider is asked for anew with each sign-in
    assert (status, UNREACHABLE in body) == (503, True)
    assert_no_access(outside)
    assert inside.get("/auth/logout")[0] == 200
    assert_no_access(inside)
