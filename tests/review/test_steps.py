"""Who reads what before filing, and what may stand in the place of what."""

from contextlib import suppress
from typing import Any

import pytest
from pydantic import ValidationError

from medconsist.errors import AccessError, ConflictError, RefusedInputError
from medconsist.review.access import Person
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation, Comment, Impression, Opinion, Subject, Verdict
from medconsist.review.store import Filing, ReviewStore
from tests.review.conftest import (
    ADMIN,
    OTHER,
    READER,
    SHA,
    SIGNER,
    VIEWER,
    draft,
    signature,
    subject_of,
)

NEW_SHA = "2" * 64


def _impression(entry: str, subject: Subject) -> Filing:
    return Filing(body=Impression(subject=subject, opinion=Opinion.REJECT), entry=entry)


def _another(**changed: str) -> Subject:
    return subject_of().model_copy(update=changed)


def _file(store: ReviewStore, person: Person, filing: Filing) -> Entry:
    sha256 = filing.body.subject.content_sha256
    return store.file(person, filing, seen=sha256, stored=sha256)


def _signed(subject: Subject, **changed: Any) -> Verdict:
    values = {
        "state": "signed",
        "opinion": Opinion.ACCEPT,
        "printed_name": "S. Signer",
        "meaning": "review",
    }
    return Verdict(subject=subject, **{**values, **changed})


def _ids(entries: list[Entry]) -> list[str]:
    return [one.id for one in entries]


def test_impressions_of_others_are_sealed_until_ones_own_is_filed(store: ReviewStore) -> None:
    _file(store, READER, _impression("a", subject_of()))
    for look in (store.entries, store.thread):
        assert look(SIGNER, "mri", "head", "impression") == []
        assert _ids(look(READER, "mri", "head", "impression")) == ["a"]
        assert _ids(look(VIEWER, "mri", "head", "impression")) == ["a"]  # files none
    _file(store, SIGNER, _impression("b", subject_of()))
    assert _ids(store.entries(SIGNER, "mri", "head", "impression")) == ["a", "b"]


def test_ones_own_impression_opens_those_of_that_result_alone(store: ReviewStore) -> None:
    _file(store, READER, _impression("a", subject_of()))
    _file(store, READER, _impression("b", _another(key="5" * 64)))
    _file(store, SIGNER, _impression("c", _another(key="5" * 64)))
    assert _ids(store.entries(SIGNER, "mri", "head", "impression")) == ["b", "c"]


def test_a_first_impression_stands_in_the_place_of_none(store: ReviewStore) -> None:
    _file(store, READER, _impression("a", subject_of()))
    later = Impression(subject=_another(key="5" * 64), opinion=Opinion.ACCEPT)
    with pytest.raises(RefusedInputError, match="is never changed"):
        _file(store, READER, Filing(body=later, entry="b", supersedes="a"))


def test_the_name_that_is_printed_is_that_of_who_signs(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    body = _signed(subject_of(), printed_name="O. Other")
    with pytest.raises(AccessError, match=r"the signature prints 'O\. Other'"):
        _file(store, SIGNER, Filing(body=body, entry="a"))


def test_a_signature_is_not_unsaid_by_a_second_one(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    _file(store, SIGNER, signature("a"))
    _file(store, SIGNER, draft("b"))
    for after in (None, "b"):
        with pytest.raises(ConflictError, match="amend that, with a reason"):
            _file(store, SIGNER, signature("c", after=after))
    store.release_lock(SIGNER, "mri", "head")
    store.take_lock(OTHER, "mri", "head")  # a second reader signs for itself
    body = _signed(subject_of(), printed_name="O. Other")
    _file(store, OTHER, Filing(body=body, entry="d"))
    assert _ids(store.entries(VIEWER, "mri", "head", "verdict")) == ["a", "d"]


@pytest.mark.parametrize("changed", [{"item": "left"}, {"patient": "p-2"}, {"key": "5" * 64}])
def test_an_amendment_is_of_the_result_that_was_signed(
    store: ReviewStore, changed: dict[str, str]
) -> None:
    store.take_lock(SIGNER, "mri", "head")
    _file(store, SIGNER, signature("a"))
    body = _signed(_another(**changed), state="amended", amended_because="a slip")
    with pytest.raises(ConflictError, match="is of another result of case head"):
        _file(store, SIGNER, Filing(body=body, entry="b", supersedes="a"))


def test_a_draft_goes_on_to_the_result_that_replaced_its_own(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    _file(store, SIGNER, draft("a"))
    body = _signed(_another(key="5" * 64, content_sha256=NEW_SHA))
    assert _file(store, SIGNER, Filing(body=body, entry="b", supersedes="a")).supersedes == "a"


def test_a_form_that_asks_again_in_another_place_is_refused(store: ReviewStore) -> None:
    said = Comment(subject=subject_of(), text="fine")
    for entry in ("a", "b"):
        _file(store, READER, Filing(body=said, entry=entry))
    with pytest.raises(ConflictError, match="was filed with other content"):
        _file(store, READER, Filing(body=said, entry="b", supersedes="a"))


def test_an_entry_of_another_study_is_not_told_apart_from_none(store: ReviewStore) -> None:
    store.grant(ADMIN, "reader", "wsi", "reader")
    hidden = Comment(subject=_another(study="wsi", case="secret"), text="hidden")
    _file(store, READER, Filing(body=hidden, entry="a"))
    said = Comment(subject=subject_of(), text="what is there?")
    found = []
    for name in ("a", "z"):
        with pytest.raises(RefusedInputError) as raised:
            _file(store, OTHER, Filing(body=said, entry="b", supersedes=name))
        found.append(str(raised.value).replace(f" {name} ", " NAME "))
    assert found[0] == found[1]


def test_who_may_no_longer_read_holds_no_lock(store: ReviewStore) -> None:
    store.take_lock(SIGNER, "mri", "head")
    store.grant(ADMIN, "signer", "mri", "reader")
    assert "head" in store.reading(OTHER, "mri")  # a reader may read on
    store.revoke(ADMIN, "signer", "mri")
    assert store.reading(OTHER, "mri") == {}
    store.take_lock(OTHER, "mri", "head")


@pytest.mark.parametrize("what", ["comment", "membership", "", "x" * 33, "a\nb"])
def test_what_left_is_not_named_as_what_the_store_keeps_itself(
    store: ReviewStore, what: str
) -> None:
    with pytest.raises(RefusedInputError, match="what was looked at got"):
        store.exported(READER, subject_of(), what=what, sha256=SHA)


def test_a_shape_of_endless_points_is_refused(store: ReviewStore) -> None:
    points = [[float(n), 0.5] for n in range(120_000)]
    shape: dict[str, Any] = {"type": "LineString", "coordinates": points}
    body = Annotation(subject=subject_of(), geometry=shape, label="x")
    with pytest.raises(RefusedInputError, match="characters; allowed: 1048576"):
        _file(store, READER, Filing(body=body, entry="a"))


@pytest.mark.parametrize("depth", [190, 220, 5_000])
def test_what_cannot_be_read_back_is_not_filed(store: ReviewStore, depth: int) -> None:
    nested: Any = 0
    for _ in range(depth):
        nested = [nested]
    shape = {"type": "Polygon", "coordinates": nested}
    with suppress(ValidationError, RefusedInputError):  # as deep as the reader reads is fine
        body = Annotation(subject=subject_of(), geometry=shape, label="x")
        _file(store, READER, Filing(body=body, entry="a"))
    assert len(store.entries(READER, "mri", "head", "annotation")) in (0, 1)


@pytest.mark.parametrize("reason", ["", "  ", "a\0b"])
def test_a_reason_says_something_that_every_database_keeps(reason: str) -> None:
    with pytest.raises(ValidationError, match="amended_because"):
        _signed(subject_of(), state="amended", amended_because=reason)
    with pytest.raises(ValidationError, match="reasons"):
        _signed(subject_of(), opinion=Opinion.REJECT, reasons=(reason,))


@pytest.mark.parametrize("letter", ["\0", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066"])
def test_a_name_neither_drives_a_terminal_nor_turns_round(letter: str) -> None:
    for given in ("subject", "name", "session"):
        values = {"subject": "u", "name": "n", "session": "s", given: f"a{letter}b"}
        with pytest.raises(RefusedInputError, match=f"{given} of a person got"):
            Person(**values)


def test_the_account_of_the_operator_is_not_what_the_environment_says(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medconsist.review.chain import newest_links

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    store.grant(None, "new", "mri", "viewer")
    with store.database.reading() as connection:
        (link,) = newest_links(connection, 1)
    assert (link["actor"] == "somebody-else", link["role"]) == (False, "operator")
