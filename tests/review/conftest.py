"""One suite for two databases: a SQLite file, and a PostgreSQL cluster of the tests' own."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from medconsist.review.access import Person
from medconsist.review.database import Database, sqlite_url
from medconsist.review.records import Opinion, Subject, Verdict
from medconsist.review.store import Filing, ReviewStore

SHA = "1" * 64
READER = Person(subject="reader", name="R. Reader", session="window-1")
SIGNER = Person(subject="signer", name="S. Signer", session="window-2")
OTHER = Person(subject="other", name="O. Other", session="window-3")
ADMIN = Person(subject="admin", name="A. Admin", session="window-4")
VIEWER = Person(subject="viewer", name="V. Viewer", session="window-5")


class Clock:
    """A clock that the tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


def subject_of(case: str = "head", sha256: str = SHA) -> Subject:
    """A result of the study ``mri``."""
    return Subject(study="mri", case=case, key="0" * 64, content_sha256=sha256, patient="p-1")


def draft(entry: str, *, after: str | None = None, case: str = "head") -> Filing:
    """A draft that accepts."""
    body = Verdict(subject=subject_of(case), state="draft", opinion=Opinion.ACCEPT)
    return Filing(body=body, entry=entry, supersedes=after)


def signature(entry: str, *, after: str | None = None, case: str = "head") -> Filing:
    """A signature that accepts."""
    body = Verdict(
        subject=subject_of(case),
        state="signed",
        opinion=Opinion.ACCEPT,
        printed_name="S. Signer",
        meaning="review",
    )
    return Filing(body=body, entry=entry, supersedes=after)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """URL of a server on a free loopback port, ended when the tests end."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("pg_ctl") or (str(programs[-1] / "pg_ctl") if programs else None)
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian package: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="medconsist-cluster-"))  # where its user may go
    own = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if own:
        shutil.chown(folder, "postgres")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, log = str(folder / "data"), str(folder / "log")
    initdb = str(Path(found).with_name("initdb"))
    _quietly([*own, initdb, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"], folder)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    start = [*own, found, "-D", data, "-l", log, "-o", options, "-w", "start"]
    _quietly(start, folder)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        _quietly([*own, found, "-D", data, "-m", "immediate", "-w", "stop"], folder)
        shutil.rmtree(folder)


def _quietly(command: list[str], folder: Path) -> None:
    # a server keeps what it inherits open, so no pipe is given to it
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "review.db")
    return new_database(request.getfixturevalue("cluster"))


_NUMBERS = count()


def new_database(cluster: str) -> str:
    """Make an empty database in the cluster."""
    name = f"review_{next(_NUMBERS)}"
    server = cluster.replace("postgresql:", "postgresql+psycopg:")
    engine = sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{cluster}/{name}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """An empty store."""
    with closing(Database(url)) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture
def store(database: Database, clock: Clock) -> ReviewStore:
    """A store of five people, each named after the role in the study ``mri``."""
    store = ReviewStore(database, clock=clock)
    store.grant(None, "admin", "*", "admin")
    roles = {"reader": "reader", "signer": "signer", "other": "signer", "viewer": "viewer"}
    for subject, role in roles.items():
        store.grant(ADMIN, subject, "mri", role)
    return store
