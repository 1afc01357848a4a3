"""What the form of a reader becomes, and what a person may do about a result or why not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import pytest

from medconsist._digests import sha256_of_path
from medconsist.errors import AccessError, ConflictError, RefusedInputError
from medconsist.results.cases import finished_results
from medconsist.results.store import ResultStore
from medconsist.review.access import Person
from medconsist.review.chain import links
from medconsist.review.database import Database, sqlite_url
from medconsist.review.locks import ReadingLock
from medconsist.review.records import Annotation, Opinion, Pin, Subject
from medconsist.review.store import ReviewStore
from medconsist.review.verify import verify
from medconsist.viewing.case_log import case_log
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.reason_codes import DEFAULT_REASONS, REASONS_FILE, reason_codes
from medconsist.viewing.review_export import Leaving, Offer, export_now, offers
from medconsist.viewing.review_form import (
    Form,
    Signing,
    comment_of,
    draft_of,
    file_seen,
    form_of,
    impression_of,
    shape_of,
    signature_of,
    stored_now,
    withdrawal_of,
)
from medconsist.viewing.review_standing import (
    Screen,
    leave_of,
    standing_of,
    state_words,
    why_not_file,
)
from medconsist.viewing.sealing import must_wait, open_to
from medconsist.viewing.source_identity import case_conflicts, identity_of_file, source_conflicts
from medconsist.viewing.web.server import subject_of

WriteResult = Any
ANNA = Person(subject="anna", name="A. Reader", session="s1")
BERT = Person(subject="bert", name="B. Signer", session="s2")
CARL = Person(subject="carl", name="C. Auditor", session="s3")
DORA = Person(subject="dora", name="D. Viewer", session="s4")
SUBJECT = Subject(study="brain", case="scan-1", key="0" * 64, content_sha256="1" * 64)
ACCEPT = Form(Opinion.ACCEPT)
REVIEW = Signing(meaning="review")


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


class Site:
    """A folder of results and its review store."""

    def __init__(self, root: Path, write: Callable[..., Any]) -> None:
        self.root, self.write, self.clock = root / "results", write, Clock()
        url = sqlite_url(root / "review.db")
        self.store = ReviewStore(Database(url), clock=self.clock)
        roles = {"anna": "signer", "bert": "signer", "carl": "auditor", "dora": "viewer"}
        for name, role in roles.items():
            self.store.grant(None, name, "brain", role)
        self.result = write(self.root)
        self.subject = subject_of(self.result)

    def sign(self, person: Person, form: Form, signing: Signing = REVIEW) -> Any:
        self.store.take_lock(person, "brain", "scan-1")
        filing = signature_of(form, self.subject, person, signing)
        try:
            return file_seen(self.store, self.root, person, filing, as_current=True)
        finally:
            self.store.release_lock(person, "brain", "scan-1")

    def thread(self, kind: str = "verdict", person: Person = ANNA) -> list[Any]:
        return self.store.thread(person, "brain", "scan-1", kind)

    def leaving(self, person: Person = ANNA) -> Leaving:
        stored = ResultStore(self.root, "brain").read("scan-1", self.result.key)
        return Leaving(store=self.store, person=person, stored=stored)


@pytest.fixture
def site(tmp_path: Path, write_result: WriteResult) -> Site:
    return Site(tmp_path, write_result)


def test_the_same_form_has_the_same_id_and_another_place_another() -> None:
    first = signature_of(ACCEPT, SUBJECT, ANNA, REVIEW)
    again = signature_of(ACCEPT, SUBJECT, replace(ANNA, session="after a restart"), REVIEW)
    assert first == again
    others = [
        signature_of(ACCEPT, SUBJECT, BERT, REVIEW),
        signature_of(ACCEPT, SUBJECT.model_copy(update={"key": "2" * 64}), ANNA, REVIEW),
        signature_of(ACCEPT, SUBJECT, ANNA, replace(REVIEW, supersedes="a", because="seen")),
        signature_of(ACCEPT, SUBJECT, ANNA, replace(REVIEW, supersedes="b", because="seen")),
        draft_of(ACCEPT, SUBJECT, ANNA, supersedes=None),
        impression_of(ACCEPT, SUBJECT, ANNA),
    ]
    ids = {first.entry, *(one.entry for one in others if one is not None)}
    assert len(ids) == 7


def test_a_form_without_a_decision_files_nothing() -> None:
    with pytest.raises(RefusedInputError, match="nothing is decided yet; choose accept"):
        impression_of(Form(None), SUBJECT, ANNA)
    with pytest.raises(RefusedInputError, match="needs a reason or a comment"):
        signature_of(Form(Opinion.REJECT), SUBJECT, ANNA, REVIEW)
    with pytest.raises(RefusedInputError, match="more than blanks"):
        signature_of(ACCEPT, SUBJECT, ANNA, replace(REVIEW, supersedes="a", because="  "))
    with pytest.raises(RefusedInputError, match="comment is empty"):
        comment_of("  ", SUBJECT, ANNA, pin=None, thread=())


def test_a_draft_that_says_the_same_is_not_filed_again(site: Site) -> None:
    site.store.take_lock(ANNA, "brain", "scan-1")
    form = Form(Opinion.NOTE, ("motion",), "a little")
    first = draft_of(form, site.subject, ANNA, supersedes=None)
    assert first is not None
    entry = file_seen(site.store, site.root, ANNA, first, as_current=True)
    assert form_of(entry) == form
    assert draft_of(form, site.subject, ANNA, supersedes=entry) is None
    changed = draft_of(ACCEPT, site.subject, ANNA, supersedes=entry)
    assert changed is not None
    assert changed.supersedes == entry.id


def test_a_signature_sent_twice_is_there_once_and_another_decision_is_refused(site: Site) -> None:
    first, again = site.sign(ANNA, ACCEPT), site.sign(ANNA, ACCEPT)
    assert first == again
    assert len(site.thread()) == 1
    with pytest.raises(ConflictError, match="filed with other content"):
        site.sign(ANNA, Form(Opinion.REPEAT, ("motion",)))
    assert verify(site.store.database).faults == ()


def test_drafts_signatures_and_amendments_follow_one_another(site: Site) -> None:
    site.store.take_lock(ANNA, "brain", "scan-1")
    draft = draft_of(ACCEPT, site.subject, ANNA, supersedes=None)
    assert draft is not None
    file_seen(site.store, site.root, ANNA, draft, as_current=True)
    standing = standing_of(site.thread(), ANNA, site.subject)
    assert state_words(standing) == ("your draft, not signed",)
    assert standing_of(site.thread(person=BERT), BERT, site.subject).draft is None
    signed = site.sign(ANNA, ACCEPT, replace(REVIEW, supersedes=draft.entry))
    standing = standing_of(site.thread(), ANNA, site.subject)
    assert (standing.draft, standing.has_signed) == (None, True)
    assert state_words(standing) == ("signed by anna",)
    because = replace(REVIEW, supersedes=signed.id, because="seen again")
    site.sign(BERT, Form(Opinion.REPEAT, ("motion",)), because)
    assert state_words(standing_of(site.thread(), ANNA, site.subject)) == ("amended by bert",)
    assert [one.body.state for one in site.thread()] == ["draft", "signed", "amended"]


def test_an_expired_lock_files_nothing_and_the_next_press_does(site: Site) -> None:
    site.store.take_lock(ANNA, "brain", "scan-1")
    site.clock.now += timedelta(minutes=16)
    filing = signature_of(ACCEPT, site.subject, ANNA, REVIEW)
    with pytest.raises(ConflictError, match="lock on case scan-1 has run out, and nothing was"):
        file_seen(site.store, site.root, ANNA, filing, as_current=True)
    assert site.sign(ANNA, ACCEPT).id == filing.entry


def test_a_result_that_was_replaced_while_it_was_read_is_not_signed(site: Site) -> None:
    site.write(site.root, lambda_=0.5)
    site.store.take_lock(ANNA, "brain", "scan-1")
    filing = signature_of(ACCEPT, site.subject, ANNA, REVIEW)
    with pytest.raises(ConflictError, match="not the one that was on the screen"):
        file_seen(site.store, site.root, ANNA, filing, as_current=True)
    here = stored_now(site.root, site.subject, as_current=False)
    assert here == site.subject.content_sha256  # it was opened as an older one, on purpose


def test_two_windows_with_two_cases_mix_nothing(site: Site) -> None:
    other = subject_of(site.write(site.root, "scan-2", fields={"patient": "p-9"}))
    signed = site.sign(ANNA, ACCEPT)
    site.store.take_lock(ANNA, "brain", "scan-2")
    crossed = signature_of(
        ACCEPT, other, ANNA, replace(REVIEW, supersedes=signed.id, because="wrong window")
    )
    with pytest.raises(ConflictError, match="two windows show two cases"):
        file_seen(site.store, site.root, ANNA, crossed, as_current=True)
    with pytest.raises(ConflictError, match="being read by you, in another window"):
        site.store.take_lock(replace(ANNA, session="s9"), "brain", "scan-2")


def test_a_comment_is_filed_once_withdrawn_and_filed_again(site: Site) -> None:
    pin = Pin(space="voxel", at=(1.0, 20.0, 12.0))

    def make() -> Any:
        thread = site.thread("comment")
        return comment_of("a spike", site.subject, ANNA, pin=pin, thread=thread)

    filed = [file_seen(site.store, site.root, ANNA, make(), as_current=True) for _ in range(2)]
    assert filed[0] == filed[1]
    gone = withdrawal_of(filed[0], site.subject, ANNA)
    file_seen(site.store, site.root, ANNA, gone, as_current=True)
    again = file_seen(site.store, site.root, ANNA, make(), as_current=True)
    assert again.id != filed[0].id
    assert len(site.thread("comment")) == 3
    with pytest.raises(RefusedInputError, match="a verdict is amended"):
        withdrawal_of(site.sign(ANNA, ACCEPT), site.subject, ANNA)


def test_a_shape_is_filed_once_and_withdrawn(site: Site) -> None:
    ring = [[1.0, 1.0], [9.0, 1.0], [9.0, 9.0], [1.0, 1.0]]
    geometry: dict[str, Any] = {"type": "Polygon", "coordinates": [ring]}
    body = Annotation(subject=site.subject, geometry=geometry, label="spike", plane=1)
    for _ in range(2):
        filing = shape_of(body, ANNA, thread=site.thread("annotation"))
        entry = file_seen(site.store, site.root, ANNA, filing, as_current=True)
    assert len(site.thread("annotation")) == 1
    gone = withdrawal_of(entry, site.subject, ANNA)
    file_seen(site.store, site.root, ANNA, gone, as_current=True)
    assert site.thread("annotation")[-1].body.geometry is None


LOCK = ReadingLock("brain", "scan-1", "bert", "s2", "2026-11-23T12:15:00.000000Z")


@pytest.mark.parametrize(
    ("changes", "what", "words"),
    [
        ({}, "sign", ""),
        ({"look_only": "No review store."}, "comment", "No review store."),
        ({"role": "viewer"}, "comment", "You are viewer in this study; who files"),
        ({"role": "auditor"}, "verdict", "who files comments and drafts is reader or signer"),
        ({"role": "reader"}, "sign", "You are reader in this study; who signs is signer"),
        ({"role": "reader"}, "verdict", ""),
        ({"is_current": False}, "comment", "took the place of this one while you read it"),
        ({"is_current": False, "was_current": False}, "comment", ""),
        ({"is_current": False, "was_current": False}, "sign", "an older result"),
        ({"conflicts": ("two patients",)}, "sign", "Identity is in doubt, and nobody signs: two"),
        ({"conflicts": ("two patients",)}, "verdict", "Identity is in doubt"),
        ({"lock": LOCK}, "verdict", "read by bert, at most until 12:15 UTC"),
        ({"lock": replace(LOCK, holder="anna")}, "sign", "by you in another window"),
        ({"lock": replace(LOCK, holder="anna", session="s1")}, "sign", ""),
        ({"sign_in_again": "Sign in again."}, "sign", "Sign in again."),
        ({}, "amend", "Nothing is signed that could be amended."),
    ],
)
def test_what_may_not_be_done_says_why(changes: dict[str, Any], what: str, words: str) -> None:
    screen = replace(Screen(role="signer"), **changes)
    leave = leave_of(screen, standing_of([], ANNA, SUBJECT), ANNA)
    said = getattr(leave, what)
    assert words in said
    assert bool(words) == bool(said)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"sign_in_again": "Too long ago."}, {"signed"}),
        ({"conflicts": ("two patients",)}, {"signed", "draft"}),
        ({"is_current": False, "was_current": False}, {"signed", "draft"}),
        ({"is_current": False}, {"signed", "draft", "impression", "comment"}),
        ({"look_only": "No store."}, {"signed", "draft", "impression", "comment"}),
    ],
)
def test_what_no_button_offers_is_not_filed_either(
    changes: dict[str, Any], refused: set[str]
) -> None:
    screen = Screen(**{"role": "signer"} | changes)
    draft = draft_of(ACCEPT, SUBJECT, ANNA, supersedes=None)
    assert draft is not None
    bodies = {
        "signed": signature_of(ACCEPT, SUBJECT, ANNA, REVIEW).body,
        "draft": draft.body,
        "impression": impression_of(ACCEPT, SUBJECT, ANNA).body,
        "comment": comment_of("x", SUBJECT, ANNA, pin=None, thread=()).body,
    }
    nothing = standing_of([], ANNA, SUBJECT)
    found = {name for name, body in bodies.items() if why_not_file(body, screen, nothing, ANNA)}
    assert found == refused
    again = replace(nothing, has_signed=True)  # a form that is sent twice; the store knows its id
    assert why_not_file(bodies["signed"], Screen(role="signer"), again, ANNA) == ""


def test_who_has_signed_amends_and_signs_no_second_time(site: Site) -> None:
    site.sign(ANNA, ACCEPT)
    standing = standing_of(site.thread(), ANNA, site.subject)
    leave = leave_of(Screen(role="signer"), standing, ANNA)
    assert leave.verdict == leave.sign == "You have signed this result; amend that, with a reason."
    assert leave.amend == ""


def test_who_may_file_a_first_impression_waits_for_it_and_others_do_not(site: Site) -> None:
    at = ("brain", "scan-1", site.result.key)
    waits = {one.subject: must_wait(site.store, one, *at) for one in (ANNA, CARL, DORA)}
    assert waits == {"anna": True, "carl": False, "dora": False}
    file_seen(
        site.store, site.root, ANNA, impression_of(ACCEPT, site.subject, ANNA), as_current=True
    )
    assert not must_wait(site.store, ANNA, *at)
    assert must_wait(site.store, BERT, *at)
    assert must_wait(site.store, ANNA, "brain", "scan-1", "9" * 64)


def test_while_it_is_sealed_one_reads_what_one_wrote_alone(site: Site) -> None:
    site.sign(BERT, ACCEPT)
    thread = site.thread()
    assert open_to(ANNA, thread, is_sealed=True) == []
    assert open_to(ANNA, thread, is_sealed=False) == thread
    assert open_to(BERT, thread, is_sealed=True) == thread


def test_two_patients_in_one_case_are_a_conflict(site: Site) -> None:
    store = ResultStore(site.root, "brain")
    assert case_conflicts(site.result, finished_results(store, "scan-1")) == []
    site.write(site.root, lambda_=0.5, fields={"patient": "p-8"})
    found = case_conflicts(site.result, finished_results(store, "scan-1"))
    assert found == ["this result is of patient p-7, another one of case scan-1 of patient p-8"]


@pytest.mark.parametrize(("said", "count"), [("p-7", 0), ("p-1", 1), ("", 0)])
def test_the_source_file_says_whose_it_is(site: Site, said: str, count: int) -> None:
    path = site.root / "scan.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = [1.0]
        file.attrs["patient_id"] = said
    store = ResultStore(site.root, "brain")
    inputs = {"inputs": {"kspace": sha256_of_path(path)}}
    result = site.write(site.root, "scan-3", fields=inputs)
    assert source_conflicts(store, result) == []  # nobody knows where the file lies
    store.inputs.add(result.inputs["kspace"], path)
    found = source_conflicts(ResultStore(site.root, "brain"), result, names=True)
    assert found == ["the file of kspace says patient p-1, the result says p-7"][:count]
    quiet = source_conflicts(ResultStore(site.root, "brain"), result)
    assert quiet == ["the file of kspace says another patient, the result says p-7"][:count]


def test_a_file_that_cannot_be_read_names_nobody(tmp_path: Path) -> None:
    torn = tmp_path / "torn.h5"
    torn.write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    assert identity_of_file(torn) is None
    assert identity_of_file(tmp_path / "slide.svs") is None


def test_a_site_has_reasons_of_its_own(tmp_path: Path) -> None:
    codes = {one.code for one in reason_codes(tmp_path, "wsi.prediction")}
    assert "stain" in codes
    assert "motion" not in codes
    assert len({one.code for one in DEFAULT_REASONS}) == len(DEFAULT_REASONS)
    text = '[[reason]]\ncode = "x-1"\nwords = "Ours"\nkinds = ["mri"]\n'
    (tmp_path / REASONS_FILE).write_text(text)
    assert [one.words for one in reason_codes(tmp_path, "mri.reconstruction")] == ["Ours"]
    assert reason_codes(tmp_path, "wsi.prediction") == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("= x", "is no TOML"),
        ("", "needs 1 to 100 entries"),
        ("reason = [1]", "reason 1: got 1"),
        ('[[reason]]\ncode = "a b"\nwords = "x"', "reason 1: the value of 'code' is not"),
        ('[[reason]]\ncode = "a"\nwords = "x"\n' * 2, "lists a code twice"),
        ("#" * 70_000, "needs 1 to 100 entries"),
    ],
)
def test_a_wrong_list_of_reasons_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / REASONS_FILE).write_text(text)
    with pytest.raises(RefusedInputError, match=words):
        reason_codes(tmp_path, "mri.reconstruction")


def test_the_report_of_a_signature_has_the_same_bytes_after_later_comments(site: Site) -> None:
    early = comment_of("seen before", site.subject, BERT, pin=None, thread=())
    file_seen(site.store, site.root, BERT, early, as_current=True)
    signed = site.sign(ANNA, ACCEPT)
    made = offers(site.leaving(), [signed])
    report = next(one for one in made if one.title == "Report by anna (PDF)")
    first = report.build()
    gone = withdrawal_of(site.thread("comment")[0], site.subject, BERT)
    file_seen(site.store, site.root, BERT, gone, as_current=True)
    late = comment_of("said later", site.subject, BERT, pin=None, thread=site.thread("comment"))
    file_seen(site.store, site.root, BERT, late, as_current=True)
    assert report.build().sha256 == first.sha256


def test_a_file_is_in_the_chain_before_it_is_given(site: Site) -> None:
    signed = site.sign(ANNA, ACCEPT)
    leaving = site.leaving()
    for offer in offers(leaving, [signed]):
        made = export_now(leaving, offer, site.subject)
        assert made.data
        assert made.sha256 in str(_links(site))
    titles = [offer.title for offer in offers(leaving, [signed])]
    assert titles[:2] == ["Table of the case (CSV)", "Report by anna (PDF)"]
    assert "Image (NIfTI)" in titles


def test_the_name_of_an_author_is_no_markup_on_a_button(site: Site) -> None:
    site.store.grant(None, "*[x](y)", "brain", "signer")
    signed = site.sign(Person(subject="*[x](y)", name="X", session="s6"), ACCEPT)
    titles = [offer.title for offer in offers(site.leaving(), [signed])]
    assert r"Report by \*\[x\]\(y\) (PDF)" in titles


def test_who_may_not_look_is_given_no_file(site: Site) -> None:
    stranger = Person(subject="eve", name="E.", session="s5")
    made = Export(name="a.csv", media_type="text/csv", what="verdicts", data=b"x")
    with pytest.raises(AccessError, match="eve has no role"):
        export_now(site.leaving(stranger), Offer("x", lambda: made), site.subject)


def test_the_log_of_a_case_is_for_auditors(site: Site) -> None:
    site.sign(ANNA, ACCEPT)
    site.store.viewed(DORA, site.subject)
    rows = case_log(site.store, CARL, "brain", "scan-1")
    assert [(row[2], row[4]) for row in rows] == [("dora", "viewed"), ("anna", "signed")]
    assert case_log(site.store, CARL, "brain", "Scan-1") == []
    with pytest.raises(AccessError, match="to audit needs auditor or admin"):
        case_log(site.store, ANNA, "brain", "scan-1")


def _links(site: Site) -> list[Any]:
    with site.store.database.reading() as connection:
        return list(links(connection))
