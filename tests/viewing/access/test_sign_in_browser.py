"""Sign-in by an identity provider in a real Chromium: who may see what, in pages and routes."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from medconsist.review.database import Database, sqlite_url
from medconsist.review.store import ReviewStore
from medconsist.viewing.web.settings import ViewerSettings
from tests.viewing.access.mock_provider import CLIENT, SECRET, MockProvider, running
from tests.viewing.served import Watched, free_port, served

pytestmark = pytest.mark.browser

WAIT_MS = 40_000


@dataclass(frozen=True)
class Site:
    """A viewer behind a provider, and its review store."""

    address: str
    provider: MockProvider
    store: ReviewStore

    def subject(self, sub: str) -> str:
        return f"{self.provider.address}|{sub}"


@pytest.fixture(scope="module")
def site(write_result: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    write_result(folder / "results", "scan-1")
    provider = MockProvider()
    store = ReviewStore(Database(sqlite_url(folder / "review.db")))
    port = free_port()
    with running(provider) as issuer:
        named = folder / "provider.toml"
        named.write_text(
            f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "{"c" * 40}"\nclient_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
            f'server_metadata_url = "{issuer}/.well-known/openid-configuration"\n'
            'client_kwargs = { prompt = "login" }\n'
        )
        named.chmod(0o600)
        settings = ViewerSettings(
            results=folder / "results", database=str(folder / "review.db"), provider=named
        )
        store.grant(None, f"{issuer}|reader", "brain", "reader")
        with served(settings, folder / "log.txt", port=port) as address:
            yield Site(address, provider, store)
    store.database.close()


def signed_in(site: Site, browser: Browser, **claims: Any) -> tuple[Page, Watched]:
    """Return the page of somebody whom the provider signs in, in a browser of their own."""
    site.provider.next = claims
    page = browser.new_context().new_page()
    seen = Watched(page)
    page.goto(f"{site.address}/?study=brain&case=scan-1")
    page.get_by_role("button", name="Sign in", exact=True).click(timeout=WAIT_MS)
    return page, seen


def test_nobody_sees_a_case_before_signing_in(site: Site, browser: Browser) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{site.address}/?study=brain&case=scan-1")
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible(timeout=WAIT_MS)
    assert "scan-1" not in page.locator("body").inner_text()
    assert "p-7" not in page.locator("body").inner_text()
    page.context.close()


def test_a_reader_sees_the_case_until_the_role_is_taken_away(site: Site, browser: Browser) -> None:
    page, seen = signed_in(site, browser, sub="reader", name="R. Reader")
    expect(page.get_by_role("button", name="Sign out R. Reader")).to_be_visible(timeout=WAIT_MS)
    page.goto(f"{site.address}/?study=brain&case=scan-1")
    expect(page.locator(".mc-strip h1")).to_have_text(re.compile("scan-1"), timeout=WAIT_MS)
    assert [error for error in seen.errors if "Content Security" in error] == []
    site.store.revoke(None, site.subject("reader"), "brain")
    page.reload()
    expect(page.get_by_text("has no role here")).to_be_visible(timeout=WAIT_MS)
    assert "p-7" not in page.locator("body").inner_text()
    site.store.grant(None, site.subject("reader"), "brain", "reader")
    page.context.close()


def test_somebody_without_a_role_sees_nothing(site: Site, browser: Browser) -> None:
    page, _ = signed_in(site, browser, sub="stranger", name="S. Stranger")
    expect(page.get_by_text("has no role here")).to_be_visible(timeout=WAIT_MS)
    assert "scan-1" not in page.locator("body").inner_text()
    page.context.close()


def test_a_cookie_of_yesterday_is_no_sign_in(site: Site, browser: Browser) -> None:
    page, _ = signed_in(site, browser, sub="reader", auth_time=int(time.time()) - 86_400)
    expect(page.get_by_text("too long ago")).to_be_visible(timeout=WAIT_MS)
    assert "p-7" not in page.locator("body").inner_text()
    page.context.close()


def test_another_host_name_is_refused(site: Site) -> None:
    request = urllib.request.Request(f"{site.address}/", headers={"Host": "evil.example"})  # noqa: S310  loopback
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)  # noqa: S310  loopback
