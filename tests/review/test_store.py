"""What a reader may file, and when it is refused."""

import os
import pwd
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from medconsist.errors import AccessError, ConflictError, RefusedInputError
from medconsist.review import entries
from medconsist.review.access import Person, account
from medconsist.review.database import Database
from medconsist.review.locks import LOCK_SECONDS
from medconsist.review.records import (
    Annotation,
    Body,
    Comment,
    Impression,
    Opinion,
    Pin,
    Verdict,
    body_of,
)
from medconsist.review.store import Filing, ReviewStore
from medconsist.review.tables import ENTRY
from tests.review.conftest import (
    ADMIN,
    OTHER,
    READER,
    SHA,
    SIGNER,
    VIEWER,
    Clock,
    draft,
    signature,
    subject_of,
)

NOBODY = Person(subject="nobody", name="N. Body", session="window-9")


def _amendment(entry: str, after: str, *, by: Person = OTHER) -> Filing:
    body = Verdict(
        subject=subject_of(),
        state="amended",
        opinion=Opinion.REJECT,
        comment="motion",
        printed_name=by.name,
        meaning="review",
        amended_because="seen again with the reference",
    )
    return Filing(body=body, entry=entry, supersedes=after)


def test_a_draft_becomes_a_signature_and_then_an_amendment(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    store.file(SIGNER, draft("a"), seen=SHA, stored=SHA)
    store.file(SIGNER, signature("b", after="a"), seen=SHA, stored=SHA)
    store.release_lock(SIGNER, "mri", "head")
    store.take_lock(OTHER, "mri", "head")
    store.file(OTHER, _amendment("c", "b"), seen=SHA, stored=SHA)

    (last,) = store.entries(VIEWER, "mri", "head", "verdict")
    assert (last.id, last.author) == ("c", "other")
    signed = store.thread(VIEWER, "mri", "head", "verdict")
    assert [one.id for one in signed] == ["b", "c"]  # the draft is its author's alone


def test_what_is_signed_is_what_was_on_the_screen(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    with pytest.raises(ConflictError, match="is not the one that was on the screen"):
        store.file(SIGNER, signature("a"), seen=SHA, stored="2" * 64)
    with pytest.raises(ConflictError, match="nothing was filed"):
        store.file(SIGNER, signature("a"), seen="2" * 64, stored="2" * 64)
    assert store.entries(SIGNER, "mri", "head", "verdict") == []


def test_signing_twice_by_one_form_signs_once(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    first = store.file(SIGNER, signature("a"), seen=SHA, stored=SHA)
    again = store.file(SIGNER, signature("a"), seen=SHA, stored="2" * 64)  # after a restart
    assert first == again
    with pytest.raises(ConflictError, match="was filed with other content"):
        store.file(SIGNER, draft("a"), seen=SHA, stored=SHA)


def test_a_lock_that_ran_out_refuses_the_signature(store: ReviewStore, clock: Clock) -> None:
    store.take_lock(SIGNER, "mri", "head")
    clock.forward(LOCK_SECONDS + 1)
    with pytest.raises(ConflictError, match="has run out, and nothing was signed"):
        store.file(SIGNER, signature("a"), seen=SHA, stored=SHA)
    store.take_lock(OTHER, "mri", "head")
    with pytest.raises(ConflictError, match="being read by other"):
        store.take_lock(SIGNER, "mri", "head")


def test_a_second_window_of_the_same_person_does_not_share_the_lock(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    second = Person(subject="signer", name="S. Signer", session="another window")
    with pytest.raises(ConflictError, match="you, in another window"):
        store.take_lock(second, "mri", "head")
    store.release_lock(second, "mri", "head")  # not its own
    assert store.reading(VIEWER, "mri")["head"].session == SIGNER.session


def test_a_lock_moves_to_another_window_of_the_same_person_alone(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    second = Person(subject="signer", name="S. Signer", session="another window")
    assert store.take_lock(second, "mri", "head", moves=True).session == "another window"
    with pytest.raises(ConflictError, match="nothing was signed"):
        store.file(SIGNER, signature("a"), seen=SHA, stored=SHA)
    with pytest.raises(ConflictError, match="being read by signer"):
        store.take_lock(OTHER, "mri", "head", moves=True)


def test_a_form_of_one_case_cannot_replace_that_of_another(store: ReviewStore) -> None:
    for case in ("head", "knee"):
        store.take_lock(SIGNER, "mri", case)
    store.file(SIGNER, draft("a", case="head"), seen=SHA, stored=SHA)
    with pytest.raises(ConflictError, match="two windows show two cases"):
        store.file(SIGNER, signature("b", after="a", case="knee"), seen=SHA, stored=SHA)


def test_two_amendments_of_one_signature_are_not_both_taken(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    store.file(SIGNER, signature("a"), seen=SHA, stored=SHA)
    store.file(SIGNER, _amendment("b", "a", by=SIGNER), seen=SHA, stored=SHA)
    with pytest.raises(ConflictError, match="has meanwhile filed another verdict"):
        store.file(SIGNER, _amendment("c", "a", by=SIGNER), seen=SHA, stored=SHA)


@pytest.mark.parametrize("person", [READER, VIEWER, ADMIN, NOBODY])
def test_only_signers_sign(store: ReviewStore, person: Person) -> None:
    with pytest.raises(AccessError, match="to sign needs signer"):
        store.file(person, signature("a"), seen=SHA, stored=SHA)


@pytest.mark.parametrize("study", ["mri", "no-such-study"])
def test_a_stranger_learns_nothing_about_a_study(store: ReviewStore, study: str) -> None:
    with pytest.raises(AccessError, match="nobody has no role here"):
        store.entries(NOBODY, study, "head", "verdict")


def test_a_membership_of_one_study_goes_before_that_of_all(store: ReviewStore) -> None:
    store.grant(ADMIN, "signer", "*", "viewer")
    assert store.role(SIGNER, "mri") == "signer"
    assert store.role(SIGNER, "wsi") == "viewer"
    store.revoke(ADMIN, "signer", "mri")
    assert store.role(SIGNER, "mri") == "viewer"


def test_only_administrators_grant(store: ReviewStore) -> None:
    with pytest.raises(AccessError, match="to grant needs admin"):
        store.grant(SIGNER, "nobody", "mri", "viewer")
    with pytest.raises(RefusedInputError, match="allowed: viewer, reader"):
        store.grant(ADMIN, "nobody", "mri", "king")
    with pytest.raises(RefusedInputError, match="no role of its own"):
        store.revoke(ADMIN, "nobody", "mri")


def test_a_first_impression_is_filed_once(store: ReviewStore) -> None:
    body = Impression(subject=subject_of(), opinion=Opinion.ACCEPT)
    store.file(READER, Filing(body=body, entry="a"), seen=SHA, stored=SHA)
    with pytest.raises(ConflictError, match="there is one first"):
        store.file(READER, Filing(body=body, entry="b"), seen=SHA, stored=SHA)


def test_a_comment_is_withdrawn_by_its_author_alone(store: ReviewStore) -> None:
    pin = Pin(space="voxel", at=(1.0, 20.0, 30.0))
    said = Comment(subject=subject_of(), text="a spike", pin=pin)
    store.file(READER, Filing(body=said, entry="a"), seen=SHA, stored=SHA)
    gone = Comment(subject=subject_of(), text="")
    with pytest.raises(AccessError, match="this comment is reader's"):
        store.file(SIGNER, Filing(body=gone, entry="b", supersedes="a"), seen=SHA, stored=SHA)
    store.file(READER, Filing(body=gone, entry="b", supersedes="a"), seen=SHA, stored=SHA)
    (last,) = store.entries(READER, "mri", "head", "comment")
    assert last.body == gone


@pytest.mark.parametrize(
    "body",
    [
        Comment(subject=subject_of(), text=" "),
        Annotation(subject=subject_of(), geometry=None, label="x"),
    ],
)
def test_nothing_empty_is_filed(store: ReviewStore, body: Comment | Annotation) -> None:
    with pytest.raises(RefusedInputError, match="withdraws one, and none is named"):
        store.file(READER, Filing(body=body, entry="a"), seen=SHA, stored=SHA)


def test_a_signature_cannot_follow_a_signature(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    store.file(SIGNER, signature("a"), seen=SHA, stored=SHA)
    with pytest.raises(RefusedInputError, match="signed cannot follow signed"):
        store.file(SIGNER, signature("b", after="a"), seen=SHA, stored=SHA)
    amended = _amendment("c", "", by=SIGNER).body
    with pytest.raises(RefusedInputError, match="amended cannot follow nothing"):
        store.file(SIGNER, Filing(body=amended, entry="c"), seen=SHA, stored=SHA)


def test_of_many_who_take_one_lock_at_once_one_gets_it(store: ReviewStore) -> None:
    people = [Person(subject="signer", name="S", session=f"window-{n}") for n in range(8)]

    def taken(person: Person) -> bool:
        try:
            store.take_lock(person, "mri", "head")
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(taken, people)) == 1


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
def test_a_person_has_a_name_that_can_be_printed(name: str) -> None:
    with pytest.raises(RefusedInputError, match="allowed: 1 to 200 printed"):
        Person(subject="u", name=name, session="s")


@pytest.mark.parametrize("entry", ["", "a/b", "x" * 65, "ä"])
def test_ids_of_entries_are_plain(store: ReviewStore, entry: str) -> None:
    body = Comment(subject=subject_of(), text="hm")
    with pytest.raises(RefusedInputError, match="id of an entry got"):
        store.file(READER, Filing(body=body, entry=entry), seen=SHA, stored=SHA)


def test_hostile_text_comes_back_as_it_was(store: ReviewStore) -> None:
    text = "<script>alert(1)</script> '; DROP TABLE audit; -- ../../x \u202e \U0001f600"
    body = Comment(subject=subject_of(), text=text)
    store.file(READER, Filing(body=body, entry="a"), seen=SHA, stored=SHA)
    (one,) = store.entries(READER, "mri", "head", "comment")
    assert one.body == body


def test_the_verdicts_of_all_cases_are_read_at_once_without_the_drafts_of_others(
    store: ReviewStore,
) -> None:
    for case in ("head", "knee", "neck"):
        store.take_lock(SIGNER, "mri", case)
    store.file(SIGNER, draft("a"), seen=SHA, stored=SHA)
    store.file(SIGNER, signature("b", after="a"), seen=SHA, stored=SHA)
    store.file(SIGNER, draft("c", case="knee"), seen=SHA, stored=SHA)
    store.file(SIGNER, signature("d", case="neck"), seen=SHA, stored=SHA)

    def seen_by(person: Person) -> dict[str, list[str]]:
        found = store.verdicts_of(person, ["mri"])
        return {case: [one.id for one in entries] for (_, case), entries in found.items()}

    assert seen_by(SIGNER) == {"head": ["a", "b"], "knee": ["c"], "neck": ["d"]}
    assert seen_by(VIEWER) == {"head": ["b"], "neck": ["d"]}
    for case in ("head", "knee", "neck"):  # as one case alone is read
        alone = store.thread(VIEWER, "mri", case, "verdict")
        assert list(store.verdicts_of(VIEWER, ["mri"]).get(("mri", case), ())) == alone


def test_verdicts_of_many_cases_take_one_query_which_reads_what_is_new(
    store: ReviewStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        store.take_lock(SIGNER, "mri", f"case-{n}")
        store.file(SIGNER, signature(f"s{n}", case=f"case-{n}"), seen=SHA, stored=SHA)
    first = store.verdicts_of(VIEWER, ["mri"])
    store.take_lock(SIGNER, "mri", "head")
    store.file(SIGNER, signature("new"), seen=SHA, stored=SHA)
    asked: list[str] = []
    read: list[str] = []

    def noted(kind: str, text: str) -> Body:
        read.append(text)
        return body_of(kind, text)

    sa.event.listen(database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    monkeypatch.setattr(entries, "body_of", noted)
    again = store.verdicts_of(VIEWER, ["mri"])
    assert len(first) == 20
    assert {place: again[place] for place in first} == first
    assert [one.id for one in again["mri", "head"]] == ["new"]
    assert sum("FROM entry" in text for text in asked) == 1
    assert len(read) == 2  # the last that was known, and the new one


def test_a_database_that_is_not_the_one_that_was_read_is_read_anew(
    store: ReviewStore, database: Database
) -> None:
    store.take_lock(SIGNER, "mri", "head")
    store.file(SIGNER, signature("a"), seen=SHA, stored=SHA)
    assert list(store.verdicts_of(VIEWER, ["mri"])) == [("mri", "head")]
    with database.writing() as connection:  # as a backup of earlier, put in its place
        for name in _triggers(connection, is_sqlite=database.is_sqlite):
            where = "" if database.is_sqlite else " ON entry"
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"{where}')
        connection.execute(ENTRY.delete())
    assert store.verdicts_of(VIEWER, ["mri"]) == {}


def _triggers(connection: sa.Connection, *, is_sqlite: bool) -> list[str]:
    listed = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'entry'"
        if is_sqlite
        else "SELECT tgname FROM pg_trigger WHERE tgrelid = 'entry'::regclass AND NOT tgisinternal"
    )
    return list(connection.exec_driver_sql(listed).scalars())


@pytest.mark.parametrize("person", [NOBODY, Person(subject="w", name="W", session="s")])
def test_who_reads_and_what_was_filed_is_told_to_members_of_a_study_alone(
    store: ReviewStore, person: Person
) -> None:
    store.grant(ADMIN, "w", "wsi", "viewer")
    with pytest.raises(AccessError, match="has no role here"):
        store.reading(person, "mri")
    with pytest.raises(AccessError, match="has no role here"):
        store.verdicts_of(person, ["wsi", "mri"])


def test_an_account_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "somebody")
    assert account()[0] == pwd.getpwuid(os.geteuid()).pw_name
    nobody: dict[int, pwd.struct_passwd] = {}
    monkeypatch.setattr(pwd, "getpwuid", nobody.__getitem__)  # as in a container
    assert account() == (f"uid {os.geteuid()}",) * 2
