"""Chain, entries, memberships, locks, and the triggers that keep the first two append-only."""

import sqlalchemy as sa
from alembic import op

__all__ = ["downgrade", "upgrade"]

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_APPEND_ONLY = ("audit", "entry")
_REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'append-only'; END $$ LANGUAGE plpgsql
"""


def upgrade() -> None:
    """Make the tables and their triggers."""
    op.create_table(
        "audit",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("ts_utc", sa.String(27), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("object_type", sa.String(32), nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("object_sha256", sa.String(64)),
        sa.Column("before_json", sa.Text),
        sa.Column("after_json", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("app_version", sa.Text, nullable=False),
        sa.Column("model_sha256", sa.String(64)),
        sa.Column("prev_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
    )
    op.create_table(
        "entry",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("supersedes", sa.String(64), sa.ForeignKey("entry.id")),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("audit_seq", _NUMBER, sa.ForeignKey("audit.seq"), nullable=False, unique=True),
        sa.UniqueConstraint("supersedes", "kind", name="uq_entry_supersedes"),
    )
    op.create_index("ix_entry_case", "entry", ["study", "case_id", "kind"])
    op.create_index("ix_entry_author", "entry", ["author", "kind"])
    op.create_table(
        "membership",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("study", sa.Text, primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
    )
    op.create_table(
        "reading_lock",
        sa.Column("study", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("expires", sa.String(27), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_REFUSE)
    for table in _APPEND_ONLY:
        _refuse_changes(table)


def downgrade() -> None:
    """Drop everything."""
    for table in ("reading_lock", "membership", "entry", "audit"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    for doing in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{doing.lower()} BEFORE {doing} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
        )
