"""Schema, URLs, and what happens to a database that is not ours."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from medconsist.errors import ConflictError, RefusedInputError, StorageError
from medconsist.review.database import Database, migrate, sqlite_url
from medconsist.review.store import ReviewStore
from medconsist.review.tables import METADATA
from medconsist.review.verify import verify
from tests.review.conftest import ADMIN, new_database


def test_the_steps_lead_to_the_tables_of_the_program(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_down_and_up_again_leaves_the_same_schema(url: str) -> None:
    with closing(Database(url)) as first:
        before = _schema(first)
    assert migrate(url, "base") is None
    assert migrate(url) == "0002"
    with closing(Database(url)) as again:
        assert _schema(again) == before


def test_a_database_of_another_schema_is_refused_and_stays(url: str) -> None:
    with closing(Database(url)) as database, database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RefusedInputError, match=r"has schema 9999, this program reads 0002"):
        Database(url)


def test_a_database_of_another_program_is_not_written(url: str) -> None:
    name = url if url.startswith("sqlite") else url.replace("postgresql:", "postgresql+psycopg:")
    engine = sa.create_engine(name)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE patients (name TEXT)")
    engine.dispose()
    with pytest.raises(RefusedInputError, match="has schema none"):
        Database(url)
    with pytest.raises(RefusedInputError, match="is of another program"):
        migrate(url)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://x/y",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "review.db",
        "",
        "http://x/y",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(RefusedInputError, match="allowed: sqlite:///FILE or postgresql://"):
        Database(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:sec/ret@host:port/review",
        "postgresql:/user:sec/ret@host/review",
        "postgres://user:sec@host/review",
        "user:sec/ret@host",
    ],
)
def test_a_password_of_an_address_that_is_none_is_in_no_message(url: str) -> None:
    with pytest.raises(RefusedInputError) as raised:
        Database(url)
    assert "sec" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_store_of_a_newer_program_is_not_migrated(url: str) -> None:
    with closing(Database(url)) as database, database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RefusedInputError, match="has schema 9999, of a newer program"):
        migrate(url)


def test_no_command_drops_what_was_signed(database: Database, url: str) -> None:
    ReviewStore(database).grant(None, "admin", "*", "admin")
    with pytest.raises(ConflictError, match="back it up"):
        migrate(url, "base")
    assert ReviewStore(database).visible(ADMIN) == {"*"}


def test_a_new_file_and_its_log_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with closing(Database(sqlite_url(tmp_path / "review.db"))) as database:
            ReviewStore(database).grant(None, "admin", "*", "admin")
            found = {one.name: one.stat().st_mode & 0o077 for one in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(found) >= {"review.db", "review.db-wal"}
    assert not any(found.values())


def test_of_many_who_make_one_store_at_once_all_get_it(url: str) -> None:
    def made(_number: int) -> str | None:
        with closing(Database(url)) as database:
            return database.revision()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(made, range(6))) == {"0002"}


@pytest.mark.postgres
def test_a_writer_sees_what_it_waited_for_whatever_the_server_prefers(cluster: str) -> None:
    url = new_database(cluster)
    with closing(Database(url)) as database, database.engine.connect() as connection:
        name = url.rsplit("/", 1)[1]
        command = f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
        connection.exec_driver_sql(command)
        connection.commit()
    with closing(Database(url)) as database:
        store = ReviewStore(database)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda n: store.grant(None, f"u{n}", "mri", "viewer"), range(12)))
        assert (verify(database).head.seq, verify(database).faults) == (12, ())


def test_a_password_is_in_no_message() -> None:
    with pytest.raises(StorageError) as raised:
        Database("postgresql://user:secret@127.0.0.1:9/review?connect_timeout=2")
    assert "secret" not in str(raised.value)


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "review.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError, match="failed: file is not a database"):
        Database(sqlite_url(path))


def test_a_schema_that_does_not_exist_is_refused(url: str) -> None:
    with pytest.raises(RefusedInputError, match="allowed: head, base, 0001, 0002"):
        migrate(url, "0999")


def test_a_full_disk_keeps_the_store_as_it_was(tmp_path: Path) -> None:
    with closing(Database(sqlite_url(tmp_path / "review.db"))) as database:
        store = ReviewStore(database)
        store.grant(None, "admin", "*", "admin")
        with database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        # a size that the file may not grow beyond stands for a full disk
        sa.event.listen(
            database.engine,
            "connect",
            lambda connection, _: connection.execute(f"PRAGMA max_page_count = {pages}"),
        )
        database.engine.dispose()
        with pytest.raises(StorageError, match="full"):
            _fill(store)
    with closing(sqlite3.connect(tmp_path / "review.db")) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _fill(store: ReviewStore) -> None:
    for number in range(200):
        store.grant(None, f"reader-{number}" + "x" * 150, "mri", "reader")


def _schema(database: Database) -> dict[str, list[str]]:
    looked = sa.inspect(database.engine)
    return {
        name: [f"{one['name']} {one['type']} {one['nullable']}" for one in looked.get_columns(name)]
        for name in sorted(looked.get_table_names())
    }
