"""The page behind an identity provider, run by Streamlit's own harness: who signs, and how long."""

import time
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from medconsist.errors import AccessError
from medconsist.review.access import Person
from medconsist.review.store import ReviewStore
from medconsist.viewing.launch import page
from medconsist.viewing.review_standing import Leave
from medconsist.viewing.web.desk import Named
from medconsist.viewing.web.server import Server, server
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.web.sittings import IDLE_SECONDS, Sittings
from tests.viewing.slides import embed_small

ISSUER, SUB = "https://id.example.org", "42"
WHO = f"{ISSUER}|{SUB}"
HOUR = 3600
TIMEOUT_S = 90  # two cores may be shared with other tests


class Claims:
    """Stands for ``st.user``: what the cookie of a sign-in says, which a test makes older."""

    is_logged_in = True

    def __init__(self) -> None:
        self.age = 0
        self.name = "S. Signer"

    def to_dict(self) -> dict[str, Any]:
        when = int(time.time()) - self.age
        return {"iss": ISSUER, "sub": SUB, "name": self.name, "auth_time": when}


class Site:
    """A viewer whose reader was signed in by a provider."""

    def __init__(self, root: Path, claims: Claims) -> None:
        self.root, self.claims = root, claims

    @property
    def server(self) -> Server:
        return server(ViewerSettings.of_environment())

    @property
    def store(self) -> ReviewStore:
        assert self.server.store is not None
        return self.server.store

    def window(self, **link: str) -> AppTest:
        app = AppTest.from_file(str(page()), default_timeout=TIMEOUT_S)
        for name, value in ({"study": "brain", "case": "scan-1"} | link).items():
            app.query_params[name] = value
        return app.run()

    def verdicts(self) -> list[str]:
        """States of the verdicts that were filed."""
        me = Person(subject=WHO, name="x", session="look")
        return [
            str(getattr(one.body, "state", ""))
            for one in self.store.thread(me, "brain", "scan-1", "verdict")
        ]


@pytest.fixture
def site(write_result: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    write_result(tmp_path / "results", "scan-1")
    provider = tmp_path / "provider.toml"
    provider.write_text("")  # the page asks only whether there is one
    monkeypatch.setenv("MEDCONSIST_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("MEDCONSIST_DB", str(tmp_path / "review.db"))
    monkeypatch.setenv("MEDCONSIST_PROVIDER", str(provider))
    claims = Claims()
    monkeypatch.setattr(st, "user", claims)
    found = Site(tmp_path / "results", claims)
    found.store.grant(None, WHO, "brain", "signer")
    return found


def button(app: AppTest, label: str) -> Any:
    return next(one for one in app.button if one.label.startswith(label))


def said(app: AppTest) -> str:
    assert not app.exception, [one.value for one in app.exception]
    found = [one.proto.body for one in app.get("html")]
    for kind in (app.caption, app.error, app.success, app.warning, app.markdown):
        found += [str(one.value) for one in kind]
    return "\n".join(found).replace("\\", "")


def dialog(app: AppTest) -> AppTest:
    """Go to where one press is left."""
    next(one for one in app.radio if one.label == "Decision").set_value("accept").run()
    button(app, "Sign …").click().run()
    next(one for one in app.checkbox if one.label.startswith("I have read")).check().run()
    return app


def test_a_fresh_sign_in_signs(site: Site) -> None:
    app = dialog(site.window())
    button(app, "Sign now").click().run()
    assert "Signed by S. Signer" in said(app)
    assert site.verdicts() == ["signed"]


def test_a_sign_in_that_grows_old_in_the_dialog_files_no_signature(site: Site) -> None:
    app = dialog(site.window())
    site.claims.age = 2 * HOUR
    button(app, "Sign now").click().run()
    assert "too long ago" in said(app)
    assert button(app, "Sign in again")
    assert site.verdicts() == []


def test_a_button_that_a_browser_presses_though_it_is_off_files_no_signature(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = dialog(site.window())
    site.claims.age = 2 * HOUR
    monkeypatch.setattr("screens.review_panel.leave_of", lambda *_: Leave("", "", "", ""))
    button(app, "Sign now").click().run()
    assert "too long ago" in said(app)
    assert site.verdicts() == []


def test_a_sign_in_of_yesterday_shows_no_case(site: Site) -> None:
    site.claims.age = 24 * HOUR
    app = site.window()
    assert "too long ago" in said(app)
    assert "p-7" not in said(app)


def test_two_studies_have_two_roles_and_one_without_is_not_there(site: Site) -> None:
    result = embed_small(site.root).result
    other = {"study": result.study, "case": result.case}
    hidden = site.window(**other)
    assert "There is no such case here" in said(hidden)
    assert str(result.patient) not in said(hidden)
    site.store.grant(None, WHO, result.study, "viewer")
    looks = site.window(**other)
    assert "You are viewer in this study" in said(looks)
    assert not any(one.label == "Decision" for one in looks.radio)
    signs = site.window()
    assert any(one.label == "Decision" for one in signs.radio)


def test_the_name_of_a_person_is_no_markup_on_the_button(site: Site) -> None:
    site.claims.name = "![x](/api) **A** $x$"
    app = site.window()
    assert any(one.label.startswith(r"Sign out \!\[x\]\(\/api\)") for one in app.button)


def test_signing_out_ends_the_sitting_its_lock_and_its_tickets(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = list[bool]()
    monkeypatch.setattr(st, "logout", lambda: gone.append(True))
    app = site.window()
    session = app.session_state["session"]
    me = Person(subject=WHO, name="x", session=session)
    ticket = site.server.opened(me, "brain", "scan-1", purpose="view")
    named = Named(study="brain", case="scan-1", key=ticket.result.key)
    assert site.server.desk.admitted(ticket.ticket, named)
    assert site.store.reading(me, "brain")
    button(app, "Sign out").click().run()
    assert gone == [True]
    assert site.store.reading(me, "brain") == {}
    with pytest.raises(AccessError, match="no longer look"):
        site.server.desk.admitted(ticket.ticket, named)


def test_fifteen_minutes_without_use_ask_for_a_new_sign_in(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.time()]
    monkeypatch.setattr(site.server, "sittings", Sittings(clock=lambda: now[0]))
    app = site.window()
    now[0] += IDLE_SECONDS + 1
    app.run()
    assert "This sitting has ended" in said(app)
    assert "p-7" not in said(app)
