"""The tables of the review store; the same on SQLite and PostgreSQL.

``audit`` and ``entry`` only grow: triggers refuse UPDATE and DELETE. Every entry is written in one
transaction with the link of the chain that holds its whole content, so that a changed, added or
lost row is found by `medconsist.review.verify.verify`. ``membership`` and ``reading_lock`` say how
things stand; each change of a membership is a link too. Times are UTC text with microseconds, so
that their order and their hash are those of the text.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["APPEND_ONLY", "AUDIT", "ENTRY", "LOCK", "MEMBERSHIP", "METADATA"]

METADATA = MetaData()
_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER alone

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("ts_utc", String(27), nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("session", Text, nullable=False),
    Column("action", String(32), nullable=False),
    Column("object_type", String(32), nullable=False),
    Column("object_id", Text, nullable=False),
    Column("object_sha256", String(64)),
    Column("before_json", Text),
    Column("after_json", Text),
    Column("reason", Text),
    Column("app_version", Text, nullable=False),
    Column("model_sha256", String(64)),
    Column("prev_hash", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False, unique=True),
)

ENTRY = Table(
    "entry",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("study", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("created", String(27), nullable=False),
    Column("author", Text, nullable=False),
    Column("supersedes", String(64), ForeignKey("entry.id")),
    Column("body", Text, nullable=False),
    Column("audit_seq", _NUMBER, ForeignKey("audit.seq"), nullable=False, unique=True),
    UniqueConstraint("supersedes", "kind", name="uq_entry_supersedes"),
    Index("ix_entry_case", "study", "case_id", "kind"),
    Index("ix_entry_author", "author", "kind"),
)

MEMBERSHIP = Table(
    "membership",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("study", Text, primary_key=True),
    Column("role", String(16), nullable=False),
)

LOCK = Table(
    "reading_lock",
    METADATA,
    Column("study", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("expires", String(27), nullable=False),
)

APPEND_ONLY = (AUDIT.name, ENTRY.name)
"""Tables of which no row is ever changed or deleted."""
