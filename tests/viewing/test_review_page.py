"""The review panel run by Streamlit's own test harness, on results and a store of its own."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from medconsist.results.store import ResultStore
from medconsist.review.access import Person
from medconsist.review.records import Opinion, Pin
from medconsist.review.store import ReviewStore
from medconsist.review.verify import verify
from medconsist.viewing.launch import page
from medconsist.viewing.review_form import (
    Form,
    Signing,
    comment_of,
    file_seen,
    signature_of,
)
from medconsist.viewing.web.server import Server, local_person, server, subject_of
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.web.sittings import IDLE_SECONDS, Sittings
from tests.viewing.slides import embed_small, predict_small

WriteResult = Any
TIMEOUT_S = 90  # two cores may be shared with other tests
BERT = Person(subject="bert", name="B. Signer", session="bert-1")
FIRST = {"MEDCONSIST_IMPRESSIONS": "first"}


class Site:
    """Results, their server, and windows of the page."""

    def __init__(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
    ) -> None:
        self.root = root
        for name, value in {"MEDCONSIST_RESULTS": str(root), **settings}.items():
            monkeypatch.setenv(name, value)

    @property
    def server(self) -> Server:
        return server(ViewerSettings.of_environment())

    @property
    def store(self) -> ReviewStore:
        assert self.server.store is not None
        return self.server.store

    def window(self, **link: str) -> "Window":
        app = AppTest.from_file(str(page()), default_timeout=TIMEOUT_S)
        for name, value in ({"study": "brain", "case": "scan-1"} | link).items():
            app.query_params[name] = value
        return Window(app.run())

    def states(self, case: str = "scan-1") -> list[str]:
        me = local_person("look")
        found = self.store.thread(me, "brain", case, "verdict")
        return [one.body.state for one in found if hasattr(one.body, "state")]

    def hand_lock_to_bert(self) -> None:
        self.store.grant(None, "bert", "brain", "signer")
        for lock in self.store.reading(local_person("any"), "brain").values():
            holder = Person(subject=lock.holder, name=lock.holder, session=lock.session)
            self.store.release_lock(holder, lock.study, lock.case)
        self.store.take_lock(BERT, "brain", "scan-1")

    def sign_as_bert(self, form: Form, text: str = "") -> None:
        self.store.grant(None, "bert", "brain", "signer")
        subject = subject_of(ResultStore(self.root, "brain").read("scan-1").result)
        filings = [signature_of(form, subject, BERT, Signing(meaning="review"))]
        if text:
            filings.append(comment_of(text, subject, BERT, pin=None, thread=()))
        self.store.take_lock(BERT, "brain", "scan-1")
        for filing in filings:
            file_seen(self.store, self.root, BERT, filing, as_current=True)
        self.store.release_lock(BERT, "brain", "scan-1")


class Window:
    """One window of the page."""

    def __init__(self, app: AppTest) -> None:
        self.app = app

    @property
    def words(self) -> str:
        """All that the page says."""
        app = self.app
        assert not app.exception, [one.value for one in app.exception]
        found = [one.proto.body for one in app.get("html")]
        for kind in (app.caption, app.error, app.success, app.warning, app.markdown):
            found += [str(one.value) for one in kind]
        return "\n".join(found).replace("\\", "")

    @property
    def everything(self) -> str:
        """All that the page sends to the browser, the data of widgets too."""
        return self.words + "".join(map(_sent, _leaves(self.app._tree)))

    def button(self, label: str) -> Any:
        return next(one for one in self.app.button if one.label.startswith(label))

    def has(self, label: str) -> bool:
        return any(one.label.startswith(label) for one in self.app.button)

    def press(self, label: str) -> "Window":
        assert not self.button(label).disabled, label
        self.button(label).click().run()
        return self

    def decide(self, opinion: str, comment: str = "") -> "Window":
        """Choose in the form that was drawn last, which in a dialog is the one of the dialog."""
        [one for one in self.app.radio if one.label == "Decision"][-1].set_value(opinion)
        if comment:
            [one for one in self.app.text_area if one.label == "Comment"][-1].set_value(comment)
        self.app.run()
        return self

    def confirm(self) -> "Window":
        next(one for one in self.app.checkbox if one.label.startswith("I have read")).check().run()
        return self

    def sign(self) -> "Window":
        return self.press("Sign …").confirm().press("Sign now")


def _leaves(node: Any) -> list[Any]:
    children = getattr(node, "children", {})
    below = [leaf for child in children.values() for leaf in _leaves(child)]
    return below + ([node] if getattr(node, "proto", None) is not None else [])


def _sent(node: Any) -> str:
    """What an element says, without the program of a widget, which is the same for every case."""
    said = type(node.proto)()
    said.CopyFrom(node.proto)
    for field in said.DESCRIPTOR.fields:
        if field.name in ("html_content", "css_content", "js_content"):
            said.ClearField(field.name)
    return str(said)


Open = Callable[..., Site]


@pytest.fixture
def site(write_result: WriteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    write_result(tmp_path, "scan-1")

    def start(**settings: str) -> Site:
        return Site(tmp_path, monkeypatch, settings)

    return start


def test_a_draft_is_signed_amended_and_found_again(site: Open) -> None:
    here = site()
    window = here.window()
    assert "not reviewed" in window.words
    assert window.button("Sign …").disabled
    window.decide("accept with note", "a shadow <b>left</b>").press("Save draft")
    assert "Draft saved; only you see it." in window.words
    assert here.states() == ["draft"]
    window.press("Sign …")
    sha = ResultStore(here.root, "brain").read("scan-1").result.content_sha256
    for said in ("p-7 › scan-1", sha[:12], f'title="{sha}"', "Trust record: 1 of 2 scores outside"):
        assert said in window.words
    assert window.button("Sign now").disabled
    window.confirm().press("Sign now")
    assert here.states() == ["draft", "signed"]
    assert "Signed by" in window.words
    assert not window.has("Sign …")
    again = here.window().press("Read it in this window")
    assert "signed by" in again.words
    assert "a shadow &lt;b&gt;left&lt;/b&gt;" in again.words
    again.press("Amend that of").decide("repeat")
    box = next(one for one in again.app.text_area if one.label.startswith("Why the signature"))
    box.set_value("motion seen late").run()
    again.confirm().press("Sign the amendment")
    assert here.states() == ["draft", "signed", "amended"]
    last = here.window()
    assert "amended because: motion seen late" in last.words
    assert verify(here.store.database).faults == ()


def test_a_refused_signature_says_why_and_files_nothing(site: Open) -> None:
    here = site()
    window = here.window().decide("reject")
    window.press("Sign …").confirm().press("Sign now")
    assert "needs a reason or a comment before it is signed" in window.words
    assert here.states() == []


def test_a_result_that_was_replaced_is_not_signed_and_the_new_one_opens(
    site: Open, write_result: WriteResult
) -> None:
    here = site()
    window = here.window().decide("accept")
    new = write_result(here.root, "scan-1", lambda_=0.5, minutes=5)
    window.press("Sign …")
    assert "Another result took the place of this one while you read it" in window.words
    assert here.states() == []
    window.press("Open the new one")
    assert f'title="{new.content_sha256}"' in window.words
    assert "took the place" not in window.words
    window.decide("accept").sign()
    assert here.states() == ["signed"]


def test_a_result_that_is_replaced_in_the_dialog_is_not_signed(
    site: Open, write_result: WriteResult
) -> None:
    here = site()
    window = here.window().decide("accept").press("Sign …").confirm()
    write_result(here.root, "scan-1", lambda_=0.5, minutes=5)
    window.button("Sign now").click().run()
    assert here.states() == []
    assert "took the place of this one" in window.words


def test_an_older_result_is_read_and_not_signed(site: Open, write_result: WriteResult) -> None:
    here = site()
    new = write_result(here.root, "scan-1", lambda_=0.5, minutes=5)
    store = ResultStore(here.root, "brain")
    old = next(key for key in store.keys("scan-1") if key != new.key)
    window = here.window(case="scan-1", key=old)
    assert "A verdict is filed on the current one." in window.words
    assert not window.has("Sign …")


def test_two_windows_of_one_person_do_not_both_sign(site: Open, write_result: WriteResult) -> None:
    here = site()
    write_result(here.root, "scan-2", fields={"patient": "p-9"})
    first = here.window(case="scan-1").decide("accept", "of the first case")
    second = here.window(case="scan-1")
    assert "read by you in another window" in second.words
    assert not second.has("Sign …")
    other = here.window(case="scan-2").decide("repeat", "of the second case")
    other.press("Save draft")
    first.press("Save draft")
    assert (here.states("scan-1"), here.states("scan-2")) == (["draft"], ["draft"])
    assert "of the second case" not in first.words
    assert "of the first case" not in other.words


def test_a_lock_that_ran_out_is_said_before_anything_is_signed(site: Open) -> None:
    here = site()
    window = here.window().decide("accept")
    real = here.store._clock
    here.store._clock = lambda: datetime.now(UTC) + timedelta(minutes=16)
    try:
        window.app.run()
    finally:
        here.store._clock = real
    assert "It is yours again: look whether the case is as you saw it." in window.words
    assert here.states() == []


def test_a_lock_that_went_to_somebody_else_ends_the_dialog(site: Open) -> None:
    here = site()
    window = here.window().decide("accept").press("Sign …").confirm()
    here.hand_lock_to_bert()
    window.button("Sign now").click().run()
    assert "The case is being read by bert, at most until" in window.words
    assert here.states() == []


def test_somebody_elses_lock_is_named_and_nothing_is_signed(site: Open) -> None:
    here = site()
    here.hand_lock_to_bert()
    window = here.window()
    assert "The case is being read by bert, at most until" in window.words
    assert not window.has("Save draft")


@pytest.mark.parametrize(
    ("role", "words", "has"),
    [
        ("viewer", "You are viewer in this study; who files comments and drafts is", ()),
        ("reader", "who signs is signer", ("Save draft", "File comment")),
        ("signer", "not reviewed", ("Save draft", "Sign …", "File comment")),
        ("auditor", "You are auditor in this study", ()),
    ],
)
def test_each_role_has_its_buttons_and_the_others_a_reason(
    site: Open, role: str, words: str, has: tuple[str, ...]
) -> None:
    here = site()
    here.store.grant(None, local_person("x").subject, "*", role)
    window = here.window()
    if window.has("Save draft"):
        window.decide("accept")
    assert words in window.words
    for label in ("Save draft", "File comment"):
        assert window.has(label) == (label in has)
    may_sign = window.has("Sign …") and not window.button("Sign …").disabled
    assert may_sign == ("Sign …" in has)
    assert ("Newest links of the audit chain first" in window.words) == (role == "auditor")


def test_a_page_without_a_store_files_nothing_and_says_so(site: Open) -> None:
    window = site(MEDCONSIST_DB="none").window()
    assert "No review store: nothing is filed" in window.words
    assert not any(window.has(one) for one in ("Save draft", "Sign …", "File", "Report"))


def test_a_case_of_two_patients_has_a_banner_and_no_signature(
    site: Open, write_result: WriteResult
) -> None:
    here = site()
    write_result(here.root, "scan-1", lambda_=0.5, fields={"patient": "p-8"})
    window = here.window()
    assert "Identity in doubt, nobody signs: this result is of patient p-8" in window.words
    assert not window.has("Sign …")
    assert window.has("File comment")


def test_a_case_whose_current_result_nobody_knows_is_not_signed(site: Open) -> None:
    here = site()
    key = ResultStore(here.root, "brain").keys("scan-1")[0]
    (here.root / "brain" / "scan-1" / "current").write_text("no key\n")
    window = here.window(key=key)
    assert "is damaged" in window.words
    assert not window.has("Sign …")


def test_a_comment_is_pinned_listed_gone_to_and_withdrawn(site: Open) -> None:
    here = site()
    window = here.window()
    window.app.session_state["pin"] = {"space": "voxel", "at": [1, 20, 12.5], "lead": None}
    window.app.run()
    assert "at slice 2, row 20, column 12.5" in window.words
    next(one for one in window.app.text_area if one.label == "New comment").set_value("a spike")
    window.press("File comment")
    assert "Comment filed." in window.words
    assert "pin" not in window.app.session_state
    window.press("Go there")
    assert window.app.session_state["goto"]["at"] == [1.0, 20.0, 12.5]
    window.press("Withdraw")
    assert "a spike" not in window.words
    window.app.session_state["pin"] = {"space": "nowhere", "at": "x"}
    window.app.run()
    assert "New comment about the whole." in window.words


def test_a_place_does_not_wander_to_another_case(site: Open, write_result: WriteResult) -> None:
    here = site()
    write_result(here.root, "scan-2", fields={"patient": "p-9"})
    window = here.window()
    window.app.session_state["pin"] = {"space": "voxel", "at": [1, 20, 12.5], "lead": None}
    window.app.run()
    window.app.query_params["case"] = "scan-2"
    window.app.run()
    assert "p-9 › scan-2" in window.words
    assert "pin" not in window.app.session_state


def test_a_link_leads_to_its_comment(site: Open) -> None:
    here = site()
    me = local_person("look")
    subject = subject_of(ResultStore(here.root, "brain").read("scan-1").result)
    pin = Pin(space="voxel", at=(2.0, 5.0, 6.0))
    filing = comment_of("look here", subject, me, pin=pin, thread=())
    file_seen(here.store, here.root, me, filing, as_current=True)
    window = here.window(entry=filing.entry)
    assert window.app.session_state["goto"]["at"] == [2.0, 5.0, 6.0]
    assert "goto" not in here.window(entry="0" * 40).app.session_state


def test_a_shape_is_filed_with_its_label(site: Open) -> None:
    here = site()
    window = here.window()
    ring = [[1.0, 1.0], [9.0, 1.0], [9.0, 9.0], [1.0, 1.0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    window.app.session_state["shape"] = {"geometry": geometry, "plane": 1}
    window.app.run()
    next(one for one in window.app.text_input if one.label == "Label of the shape").set_value("x<y")
    window.press("File shape")
    assert "x&lt;y" in window.words
    assert "Polygon on slice 2" in window.words
    window.press("Go there")
    assert window.app.session_state["goto"]["at"] == [1.0, 5.0, 5.0]


def test_a_file_is_given_after_it_was_written_into_the_log(site: Open) -> None:
    here = site()
    window = here.window().decide("accept").sign().press("Report by")
    name = next(one.proto.label for one in window.app.get("download_button"))
    assert name.replace("\\", "") == "Download scan-1-review.pdf"
    _, made = window.app.session_state["export made"]
    assert made.sha256[:12] in window.words
    window.press("Report by")
    assert window.app.session_state["export made"][1].sha256 == made.sha256


MODELS_WORDS = ("withheld", "chi2", "1.31", "0.79", "0.93", "Not determined", "ssim")


def test_sealed_the_page_says_nothing_of_the_models_or_of_others(site: Open) -> None:
    plain = site()
    plain.sign_as_bert(Form(Opinion.REJECT, (), "bert says no"), "bert comments")
    before = plain.window()  # the whole result lies in the cache of the page now
    held = (*MODELS_WORDS, "bert says no", "bert comments")
    assert [one for one in held if one not in before.everything] == []
    here = site(**FIRST)
    window = here.window()
    assert window.app.session_state["sealed"] is True
    for said in (*MODELS_WORDS, "bert", "Reconstruction", "Reference"):
        assert said not in window.everything, said
    assert not any(window.has(one) for one in ("Sign …", "Amend", "Report", "Image", "Table"))
    window.decide("repeat", "blurred to me").press("File first impression")
    assert window.app.session_state["sealed"] is False
    for said in (*MODELS_WORDS, "bert says no", "bert comments", "first impression: repeat"):
        assert said in window.everything, said
    filed = here.store.thread(local_person("x"), "brain", "scan-1", "impression")
    assert [one.body.comment for one in filed] == ["blurred to me"]


def test_a_sealed_prediction_of_a_slide_shows_the_slide_alone(site: Open, tmp_path: Path) -> None:
    here = site()
    embed_small(here.root)
    stored = predict_small(here.root)
    plain = here.window(study="wsi", case=stored.result.case)
    probability = f"{stored.result.metrics[0].value:.3f}"
    assert probability in plain.words
    window = site(**FIRST).window(study="wsi", case=stored.result.case)
    for said in (probability, "Probabilities of the case", "Attention", "tumour", "Highest tiles"):
        assert said not in window.everything, said


def test_fifteen_minutes_without_use_end_the_sitting(site: Open) -> None:
    here = site()
    now = [0.0]
    here.server.sittings = Sittings(clock=lambda: now[0])
    window = here.window().decide("accept", "never filed")
    first = window.app.session_state["session"]
    now[0] += IDLE_SECONDS + 1
    window.app.run()
    assert "This sitting has ended" in window.words
    assert "p-7" not in window.words
    assert here.store.reading(local_person("x"), "brain") == {}
    window.app.run()
    assert "This sitting has ended" in window.words
    window.press("Begin anew")
    assert "not reviewed" in window.words
    assert window.app.session_state["session"] != first
