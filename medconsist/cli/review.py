"""``medconsist review``: verify, log, anchor, back up, restore, grant, revoke, migrate."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg, subcommand

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.review.database import Database
    from medconsist.review.verify import Verified

__all__ = ["Review"]

_BROKEN = 1


@dataclass(frozen=True, kw_only=True)
class _OfStore:
    """Which store, and how to say it."""

    db: Annotated[str, arg(metavar="URL|FILE")]
    """The review store: a SQLite file, sqlite:///FILE, or postgresql://user@host/name."""
    json: Annotated[bool, arg(help="Print one JSON object to stdout instead of text.")] = False

    def open(self, *, create: bool = False) -> "Database":
        """Open the store; a file that is not there is refused unless it is to be made."""
        from medconsist._extras import require

        require("sqlalchemy", extra="review")
        from medconsist.errors import MissingInputError
        from medconsist.review.database import Database, sqlite_url

        if "://" in self.db:
            return Database(self.db, create=create)
        if not create and not Path(self.db).is_file():
            msg = f"there is no review store {self.db}; name its file, or its URL."
            raise MissingInputError(msg)
        return Database(sqlite_url(Path(self.db)), create=create)

    def say(self, values: dict[str, object], text: str) -> None:
        """Print the one or the other."""
        sys.stdout.write((json.dumps(values) if self.json else text) + "\n")

    def say_verified(self, found: "Verified", what: str) -> int:
        """Print what was found, and return the exit code."""
        values = {"head": asdict(found.head), "entries": found.entries, "faults": found.faults}
        lines = [
            f"{what}: {found.head.seq} links, {found.entries} entries, head {found.head.hash}",
            *(found.faults or ("no fault",)),
        ]
        self.say(values, "\n".join(lines))
        return _BROKEN if found.faults else 0


@dataclass(frozen=True, kw_only=True)
class Verify(_OfStore):
    """Read the whole store and say whether it is as it was written. Exit code 1 if it is not.

    Without anchors, written by review anchor to another disk, nobody can see that the end of the
    chain was cut off, or that all of it was written anew.
    """

    anchors: Annotated[Path | None, arg(metavar="FILE")] = None
    """File of review anchor."""

    def run(self) -> int:
        """Verify and print."""
        database = self.open()
        from medconsist.review.anchors import read_anchors
        from medconsist.review.verify import verify

        anchors = () if self.anchors is None else read_anchors(self.anchors)
        return self.say_verified(verify(database, anchors=anchors), str(database))


@dataclass(frozen=True, kw_only=True)
class AnchorHead(_OfStore):
    """Write the head of the chain to the end of a file on another disk."""

    out: Path
    """The file."""

    def run(self) -> int:
        """Write and print it."""
        database = self.open()
        from medconsist.review.anchors import add_anchor

        anchor = add_anchor(database, self.out)
        self.say(anchor.model_dump(), f"link {anchor.seq}, {anchor.hash}: {self.out}")
        return 0


@dataclass(frozen=True, kw_only=True)
class BackUp(_OfStore):
    """Write the whole store into one file, while it is in use; then verify the store."""

    out: Path
    """The file; an older one of that name is replaced when the new one is whole."""

    def run(self) -> int:
        """Write, verify and print."""
        database = self.open()
        from medconsist.review.backup import back_up

        return self.say_verified(back_up(database, self.out), str(self.out))


@dataclass(frozen=True, kw_only=True)
class Restore(_OfStore):
    """Write a backup into a new store, SQLite or PostgreSQL, and verify it."""

    backup: Annotated[Positional[Path], arg(metavar="BACKUP")]
    """File of review backup."""

    def run(self) -> int:
        """Restore, verify and print."""
        database = self.open(create=True)
        from medconsist.review.backup import restore

        return self.say_verified(restore(self.backup, database), str(database))


@dataclass(frozen=True, kw_only=True)
class Grant(_OfStore):
    """Give a person a role in a study; the chain names the account that runs this."""

    subject: Annotated[Positional[str], arg(metavar="PERSON")]
    """Name of the account, or issuer and subject of OIDC."""
    role: str
    """viewer, reader, signer, auditor or admin."""
    study: str = "*"
    """Study; * is all of them."""

    def run(self) -> int:
        """Grant and print."""
        database = self.open(create=True)
        from medconsist.review.store import ReviewStore

        ReviewStore(database).grant(None, self.subject, self.study, self.role)
        said = {"person": self.subject, "study": self.study, "role": self.role}
        self.say(dict(said), f"{self.subject} is {self.role} of {self.study}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Revoke(_OfStore):
    """Take a person's role in a study away."""

    subject: Annotated[Positional[str], arg(metavar="PERSON")]
    """As it was granted."""
    study: str = "*"
    """Study; * is the role in all of them."""

    def run(self) -> int:
        """Revoke and print."""
        database = self.open()
        from medconsist.review.store import ReviewStore

        ReviewStore(database).revoke(None, self.subject, self.study)
        said = {"person": self.subject, "study": self.study, "role": None}
        self.say(dict(said), f"{self.subject} has no role of its own in {self.study}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Log(_OfStore):
    """Print who did what, the newest first."""

    most: int = 50
    """Most links that are printed."""

    def run(self) -> int:
        """Read and print."""
        database = self.open()
        from medconsist.review.chain import newest_links

        with database.reading() as connection:
            rows = newest_links(connection, self.most)
        names = ("seq", "ts_utc", "actor", "role", "action", "object_type", "object_id")
        lines = ["  ".join(str(row[name]) for name in names) for row in rows]
        self.say({"links": rows}, "\n".join(lines) or "nothing has happened yet")
        return 0


@dataclass(frozen=True, kw_only=True)
class Migrate(_OfStore):
    """Bring a store of another schema to that of this program; back it up first."""

    to: str = "head"
    """Schema; by default the newest."""

    def run(self) -> int:
        """Migrate and print."""
        from medconsist._extras import require

        require("sqlalchemy", extra="review")
        from medconsist.review.database import migrate, sqlite_url

        url = self.db if "://" in self.db else sqlite_url(Path(self.db))
        found = migrate(url, self.to)
        self.say({"schema": found}, f"schema {found or 'none'}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Review:
    """The review store: who looked, what was signed, and whether it is as it was written."""

    verb: (
        Annotated[Verify, subcommand("verify", prefix_name=False)]
        | Annotated[Log, subcommand("log", prefix_name=False)]
        | Annotated[AnchorHead, subcommand("anchor", prefix_name=False)]
        | Annotated[BackUp, subcommand("backup", prefix_name=False)]
        | Annotated[Restore, subcommand("restore", prefix_name=False)]
        | Annotated[Grant, subcommand("grant", prefix_name=False)]
        | Annotated[Revoke, subcommand("revoke", prefix_name=False)]
        | Annotated[Migrate, subcommand("migrate", prefix_name=False)]
    )

    def run(self) -> int:
        """Run the verb."""
        return self.verb.run()
