"""Whatever is changed in the store behind the program's back is found."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError

from medconsist.errors import ConflictError, CorruptInputError, RefusedInputError, StorageError
from medconsist.review.anchors import add_anchor, read_anchors
from medconsist.review.backup import back_up, restore
from medconsist.review.chain import FIRST, hash_of, links
from medconsist.review.database import Database, sqlite_url
from medconsist.review.records import Comment
from medconsist.review.store import Filing, ReviewStore
from medconsist.review.tables import AUDIT, ENTRY, MEMBERSHIP
from medconsist.review.verify import verify
from tests.review.conftest import (
    ADMIN,
    READER,
    SHA,
    SIGNER,
    draft,
    new_database,
    signature,
    subject_of,
)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Database]:
    """An empty store in a file."""
    with closing(Database(sqlite_url(tmp_path / "fresh.db"))) as opened:
        yield opened


@pytest.fixture
def used(store: ReviewStore) -> ReviewStore:
    """A store in which things have happened."""
    store.viewed(READER, subject_of())
    store.take_lock(SIGNER, "mri", "head")
    store.file(SIGNER, draft("a"), seen=SHA, stored=SHA)
    store.file(SIGNER, signature("b", after="a"), seen=SHA, stored=SHA)
    said = Comment(subject=subject_of(), text="fine")
    store.file(READER, Filing(body=said, entry="c"), seen=SHA, stored=SHA)
    store.exported(READER, subject_of(), what="pdf", sha256="3" * 64)
    store.revoke(ADMIN, "viewer", "mri")
    return store


def _tamper(database: Database, statement: sa.Executable) -> None:
    """Change the store as its owner can, past the triggers, which are there again afterwards."""
    with database.engine.connect() as connection, connection.begin():
        taken = list[str]()
        if database.is_sqlite:
            asked = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            for name, made in connection.exec_driver_sql(asked).all():
                taken.append(made)
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
        connection.execute(statement)
        for made in taken:
            connection.exec_driver_sql(made)


def test_a_store_as_it_was_written_has_no_fault(used: ReviewStore) -> None:
    found = verify(used.database)
    assert (found.faults, found.entries) == ((), 3)


def test_a_trigger_that_was_taken_away_is_named(used: ReviewStore) -> None:
    database = used.database
    name = "entry_no_replace" if database.is_sqlite else "entry_append_only"
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            f"DROP TRIGGER {name}" + ("" if database.is_sqlite else " ON entry")
        )
    (fault,) = verify(database).faults
    assert fault.startswith(f"The trigger {name}, which refuses changes, is missing")


def test_no_row_is_replaced_by_an_insert(used: ReviewStore) -> None:
    if not used.database.is_sqlite:
        return  # PostgreSQL has no such statement
    with (
        pytest.raises(sa.exc.IntegrityError, match="append-only"),
        used.database.engine.begin() as connection,
    ):
        connection.exec_driver_sql(
            "INSERT OR REPLACE INTO entry SELECT id, kind, study, case_id, created, 'nobody', "
            "supersedes, body, audit_seq FROM entry LIMIT 1"
        )


@pytest.mark.parametrize("table", ["audit", "entry"])
@pytest.mark.parametrize("doing", ["UPDATE {} SET {} = 'x'", "DELETE FROM {}"])
def test_the_database_itself_refuses_changes(used: ReviewStore, table: str, doing: str) -> None:
    column = {"audit": "actor", "entry": "author"}[table]
    with (
        pytest.raises(DatabaseError, match="append-only"),
        used.database.engine.connect() as connection,
    ):
        connection.exec_driver_sql(doing.format(table, column))


@pytest.mark.parametrize("column", [c.name for c in AUDIT.columns if c.name != "seq"])
def test_each_changed_column_of_a_link_is_found(used: ReviewStore, column: str) -> None:
    new = "9" * 64 if "hash" in column or "sha256" in column else "other"
    _tamper(used.database, AUDIT.update().where(AUDIT.c.seq == 8).values({column: new}))
    assert any("Link 8" in fault or "Link 9" in fault for fault in verify(used.database).faults)


@pytest.mark.parametrize("column", [c.name for c in ENTRY.columns if c.name != "audit_seq"])
def test_each_changed_column_of_an_entry_is_found(used: ReviewStore, column: str) -> None:
    statement = ENTRY.update().where(ENTRY.c.id == "c").values({column: "b"})
    if column == "id":
        statement = ENTRY.update().where(ENTRY.c.id == "c").values(id="z")
    _tamper(used.database, statement)
    assert verify(used.database).faults


TAMPERED: dict[str, Callable[[], sa.Executable]] = {
    "an entry lost": lambda: ENTRY.delete().where(ENTRY.c.id == "c"),
    "a link lost": lambda: AUDIT.delete().where(AUDIT.c.seq == 6),
    "a role raised": lambda: (
        MEMBERSHIP.update().where(MEMBERSHIP.c.subject == "reader").values(role="admin")
    ),
    "a role given": lambda: MEMBERSHIP.insert().values(subject="x", study="*", role="admin"),
    "a role lost": lambda: MEMBERSHIP.delete().where(MEMBERSHIP.c.subject == "signer"),
    "an entry moved": lambda: ENTRY.update().where(ENTRY.c.id == "c").values(audit_seq=1),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_is_lost_added_or_moved_is_found(used: ReviewStore, name: str) -> None:
    _tamper(used.database, TAMPERED[name]())
    assert verify(used.database).faults


def test_a_chain_that_lost_its_end_is_found_by_its_anchor_alone(
    used: ReviewStore, tmp_path: Path
) -> None:
    anchors = tmp_path / "anchors.jsonl"
    add_anchor(used.database, anchors)
    with used.database.reading() as connection:
        last = list(links(connection))[-1]["seq"]
    gone = MEMBERSHIP.insert().values(subject="viewer", study="mri", role="viewer")
    _tamper(used.database, AUDIT.delete().where(AUDIT.c.seq == last))
    _tamper(used.database, gone)  # the link that was cut off had taken this role away
    assert verify(used.database).faults == ()
    (fault,) = verify(used.database, anchors=read_anchors(anchors)).faults
    assert "is gone" in fault


def test_a_chain_that_was_written_anew_is_found_by_its_anchor_alone(
    used: ReviewStore, tmp_path: Path
) -> None:
    anchors = tmp_path / "anchors.jsonl"
    add_anchor(used.database, anchors)
    with used.database.reading() as connection:
        rows = list(links(connection))
    rows[0]["actor"], previous = "another", FIRST
    for row in rows:
        row["prev_hash"] = previous
        row["hash"] = previous = hash_of(row)
        at = AUDIT.update().where(AUDIT.c.seq == row["seq"])
        _tamper(used.database, at.values(**row))
    assert verify(used.database).faults == ()
    (fault,) = verify(used.database, anchors=read_anchors(anchors)).faults
    assert "is not the one that was anchored" in fault


def test_an_anchor_that_was_added_after_a_forgery_does_not_hide_it(
    used: ReviewStore, tmp_path: Path
) -> None:
    anchors = tmp_path / "anchors.jsonl"
    add_anchor(used.database, anchors)
    with used.database.reading() as connection:
        last = list(links(connection))[-1]
    forged = {**last, "actor": "another"}
    forged["hash"] = hash_of(forged)
    _tamper(used.database, AUDIT.update().where(AUDIT.c.seq == last["seq"]).values(**forged))
    add_anchor(used.database, anchors)  # as every night
    assert verify(used.database).faults == ()
    (fault,) = verify(used.database, anchors=read_anchors(anchors)).faults
    assert "is not the one that was anchored" in fault


@pytest.mark.parametrize("column", [AUDIT.c.actor, AUDIT.c.prev_hash, ENTRY.c.body], ids=str)
def test_bytes_where_text_was_are_a_fault_and_no_end_of_the_search(
    tmp_path: Path, column: sa.Column[str]
) -> None:
    with closing(Database(sqlite_url(tmp_path / "review.db"))) as database:
        store = ReviewStore(database)
        store.grant(None, "reader", "mri", "reader")
        said = Comment(subject=subject_of(), text="fine")
        store.file(READER, Filing(body=said, entry="a"), seen=SHA, stored=SHA)
        at = AUDIT.c.seq == 2 if column.table is AUDIT else ENTRY.c.id == "a"
        bad = sa.update(column.table).where(at).values({column.name: sa.text("x'00ff'")})
        _tamper(database, bad)
        assert verify(database).faults


def test_a_membership_that_names_nobody_is_a_fault_and_no_end_of_the_search(
    used: ReviewStore,
) -> None:
    at = AUDIT.update().where(AUDIT.c.seq == 1)
    _tamper(used.database, at.values(object_id='[["a"], 2]'))
    assert any("Link 1 was changed" in fault for fault in verify(used.database).faults)


@pytest.mark.parametrize("line", [b"{}", b"\xff", b'{"seq": 1'])
def test_a_file_of_anchors_that_was_changed_is_refused(
    used: ReviewStore, tmp_path: Path, line: bytes
) -> None:
    anchors = tmp_path / "anchors.jsonl"
    add_anchor(used.database, anchors)
    anchors.write_bytes(anchors.read_bytes() + line + b"\n")
    with pytest.raises(RefusedInputError, match="line 2"):
        read_anchors(anchors)


def test_an_empty_store_has_nothing_to_anchor(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="nothing to anchor"):
        add_anchor(database, tmp_path / "anchors.jsonl")


def test_a_backup_restores_to_the_same_chain(
    used: ReviewStore, fresh: Database, tmp_path: Path
) -> None:
    written = back_up(used.database, tmp_path / "backup.jsonl")
    assert restore(tmp_path / "backup.jsonl", fresh) == written
    again = ReviewStore(fresh)
    assert [one.id for one in again.entries(READER, "mri", "head", "verdict")] == ["b"]
    again.viewed(READER, subject_of())  # and goes on
    assert verify(fresh).faults == ()
    with pytest.raises(ConflictError, match="is not empty"):
        restore(tmp_path / "backup.jsonl", fresh)


@pytest.mark.postgres
def test_a_backup_moves_from_a_file_to_a_server(tmp_path: Path, cluster: str) -> None:
    store = ReviewStore(Database(sqlite_url(tmp_path / "review.db")))
    store.grant(None, "reader", "mri", "reader")
    store.viewed(READER, subject_of())
    written = back_up(store.database, tmp_path / "backup.jsonl")
    with closing(Database(new_database(cluster))) as server:
        assert restore(tmp_path / "backup.jsonl", server) == written


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_backup_that_was_cut_off_restores_nothing(
    used: ReviewStore, fresh: Database, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "backup.jsonl"
    back_up(used.database, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CorruptInputError, match="backup"):
        restore(path, fresh)
    assert verify(fresh).head.seq == 0


_ENTRY: dict[str, object] = {
    "id": "z",
    "kind": "comment",
    "study": "mri",
    "case_id": "c",
    "created": "t",
}
_ENTRY |= {"author": "x", "supersedes": None, "body": "{}", "audit_seq": 1}


@pytest.mark.parametrize(
    "line",
    [
        {"row": {}},
        {"file": "x"},
        {"table": "sqlite_master", "row": {"sql": "DROP TABLE audit"}},
        {"table": "entry", "row": {**_ENTRY, "id) VALUES (1); --": 1}},
        {"table": "entry", "row": {**_ENTRY, "audit_seq": 2**70}},
        {"table": "entry", "row": {**_ENTRY, "audit_seq": True}},
        {"table": "entry", "row": {**_ENTRY, "body": {"a": 1}}},
        {"table": "entry", "row": {**_ENTRY, "author": None}},
        {"table": "entry", "row": {**_ENTRY, "author": "\ud800"}},
        {"table": "entry", "row": [1]},
    ],
)
def test_a_line_that_no_backup_has_restores_nothing(
    used: ReviewStore, fresh: Database, tmp_path: Path, line: dict[str, object]
) -> None:
    path = tmp_path / "backup.jsonl"
    back_up(used.database, path)
    lines = path.read_text().splitlines()
    lines.insert(-1, json.dumps(line))
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorruptInputError, match="line"):
        restore(path, fresh)
    assert verify(fresh).head.seq == 0


def test_a_row_that_is_there_twice_restores_nothing(
    used: ReviewStore, fresh: Database, tmp_path: Path
) -> None:
    path = tmp_path / "backup.jsonl"
    back_up(used.database, path)
    lines = path.read_text().splitlines()
    lines[-1:] = [lines[-2], json.dumps({"lines": len(lines)})]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(StorageError, match="Nothing of this step was kept"):
        restore(path, fresh)
    assert verify(fresh).head.seq == 0


def test_a_line_without_end_is_not_read_to_its_end(fresh: Database, tmp_path: Path) -> None:
    path = tmp_path / "backup.jsonl"
    path.write_text("[" * 200_000)
    with pytest.raises(CorruptInputError, match="line 1 is no JSON"):
        restore(path, fresh)


def test_a_backup_is_its_owners_alone(used: ReviewStore, tmp_path: Path) -> None:
    path = tmp_path / "backup.jsonl"
    back_up(used.database, path)
    assert path.stat().st_mode & 0o077 == 0


def test_a_backup_that_was_changed_is_restored_with_its_fault(
    used: ReviewStore, fresh: Database, tmp_path: Path
) -> None:
    path = tmp_path / "backup.jsonl"
    back_up(used.database, path)
    lines = path.read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if '"table":"entry"' in line)
    value = json.loads(lines[place])
    value["row"]["author"] = "another"
    lines[place] = json.dumps(value)
    path.write_text("\n".join(lines) + "\n")
    found = restore(path, fresh)
    assert found.faults
