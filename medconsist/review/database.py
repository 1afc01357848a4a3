"""The database of the review store: opened, brought to this schema, written by one at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from medconsist._atomic import storage_errors
from medconsist.errors import ConflictError, RefusedInputError, StorageError
from medconsist.review.tables import AUDIT

__all__ = ["Database", "migrate", "sqlite_url"]

_MIGRATIONS = Path(__file__).with_name("migrations")
_ONE_WRITER = 5_071_346  # number of our advisory lock, any constant
_DIALECTS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
_WRITES = "medconsist_writes"
_PRAGMAS = ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
_PATIENCE = "SET LOCAL lock_timeout = '10s'"  # as long as SQLite waits


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file; its disk must not be a network one, which cannot lock."""
    return f"sqlite:///{path.absolute()}"


class Database:
    """SQLite by default (WAL, every commit flushed to the disk), PostgreSQL by URL.

    A new database gets this schema. An older one is refused until `migrate` is called, and a newer
    one is refused: neither is written by a program that does not know it.

    Parameters
    ----------
    url
        ``sqlite:///FILE`` or ``postgresql://user@host/name``.
    create
        Whether an empty database gets this schema.

    Raises
    ------
    RefusedInputError
        The URL is of another kind, or the database of another schema.
    StorageError
        The database cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> database = Database(sqlite_url(Path(tempfile.mkdtemp()) / "review.db"))
    >>> database.revision()
    '0002'
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        self.url = _checked(url)
        self.engine = _engine(self.url)
        if create:
            _own(self.url)
        with _as_storage_errors(self.url):
            # asked first: what another process makes meanwhile has its schema when it is seen
            is_empty = create and not sa.inspect(self.engine).get_table_names()
            found = migrate(url) if is_empty else self.revision()
        if found != self.newest:
            self.close()
            msg = (
                f"the review store {self} has schema {found or 'none'}, this program reads "
                f"{self.newest}; back it up, then: medconsist review migrate --db URL."
            )
            raise RefusedInputError(msg)

    def __str__(self) -> str:
        """Return the URL without its password."""
        return _shown(self.url)

    @property
    def newest(self) -> str:
        """The schema of this program."""
        return ScriptDirectory(str(_MIGRATIONS)).get_current_head() or ""

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file of our own."""
        return self.engine.dialect.name == "sqlite"

    def revision(self) -> str | None:
        """Return the schema of the database, None if it has none."""
        with self.engine.connect() as connection:
            return _revision(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database."""
        with _as_storage_errors(self.url), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection that no other writer runs beside; all of it is kept, or nothing."""
        with _as_storage_errors(self.url), _alone(self.engine) as connection:
            yield connection

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def migrate(url: str, revision: str = "head") -> str | None:
    """Bring a database to a schema, up or down, in one transaction; return what it has then.

    Parameters
    ----------
    url
        See `Database`.
    revision
        ``"head"``, the number of a schema, or ``"base"``, which drops everything.

    Raises
    ------
    RefusedInputError
        No such schema, or not a URL of ours.
    ConflictError
        ``"base"`` of a store in which something has happened.
    StorageError
        The database failed; it is as it was.
    """
    checked = _checked(url)
    _own(checked)
    engine, known = _engine(checked), ScriptDirectory(str(_MIGRATIONS))
    numbers = [one.revision for one in known.walk_revisions()]
    if revision not in ("head", "base", *numbers):
        msg = f"--to got {revision!r}; allowed: head, base, {', '.join(sorted(numbers))}."
        raise RefusedInputError(msg)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with _as_storage_errors(checked), _closing(engine), _alone(engine) as connection:
        config.attributes["connection"] = connection
        found = _revision(connection)
        if found not in (None, *numbers):
            msg = f"the review store {_shown(checked)} has schema {found}, of a newer program."
            raise RefusedInputError(msg)
        if found is None and set(sa.inspect(connection).get_table_names()) - {"alembic_version"}:
            msg = f"the database {_shown(checked)} is of another program; name an empty one."
            raise RefusedInputError(msg)
        if revision == "base" and found is not None:
            _refuse_used(connection)
        is_older = revision == "base" or (revision != "head" and revision < (found or ""))
        (command.downgrade if is_older else command.upgrade)(config, revision)
        return _revision(connection)


@contextmanager
def _closing(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.dispose()


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as opened:
        connection = opened.execution_options(**{_WRITES: True})
        if engine.dialect.name != "sqlite":
            # a snapshot of before the lock would not see the link that it waited for
            connection = connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            if engine.dialect.name != "sqlite":
                connection.exec_driver_sql(_PATIENCE)
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_WRITER)))
            yield connection


def _refuse_used(connection: Connection) -> None:
    if connection.execute(sa.select(AUDIT.c.seq).limit(1)).first() is not None:
        msg = (
            "this review store holds what people signed, and no command drops that; back it up, "
            "and let the owner of the database remove it."
        )
        raise ConflictError(msg)


def _own(url: URL) -> None:
    """Make a new file readable by its owner alone; SQLite gives its log the same rights."""
    if url.get_backend_name() != "sqlite":
        return
    path = Path(str(url.database))
    with storage_errors(path), suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
        name = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        # not said back, and no cause beside it: what cannot be taken apart may hold a password
        msg = (
            "--db got no URL; allowed: sqlite:///FILE or postgresql://user@host/name. Letters such "
            "as / and @ within a password are written %2F and %40."
        )
        raise RefusedInputError(msg) from None
    file = parsed.database or ":memory:"
    if name not in _DIALECTS or (name == "sqlite" and file.startswith((":memory:", "file:"))):
        msg = (
            f"--db got {parsed.render_as_string()}; allowed: sqlite:///FILE or "
            "postgresql://user@host/name."
        )
        raise RefusedInputError(msg)
    return parsed.set(drivername=_DIALECTS[name])


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _set(connection: Any, _record: object) -> None:  # noqa: ANN401  a driver's connection
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a writer that began by reading could not be sure of what it read
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def _as_storage_errors(url: URL) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        msg = f"the review store {_shown(url)} failed: {reason}. Nothing of this step was kept."
        raise StorageError(msg) from error
