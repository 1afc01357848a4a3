"""On SQLite, ``INSERT OR REPLACE`` deletes a row without a trigger of DELETE: refuse that too."""

from alembic import op

__all__ = ["downgrade", "upgrade"]

revision = "0002"
down_revision = "0001"

_TAKEN = {
    "audit": "seq = NEW.seq OR hash = NEW.hash OR prev_hash = NEW.prev_hash",
    "entry": "id = NEW.id OR audit_seq = NEW.audit_seq "
    "OR (supersedes = NEW.supersedes AND kind = NEW.kind)",
}


def upgrade() -> None:
    """Make the triggers; PostgreSQL has no such statement."""
    if op.get_bind().dialect.name == "sqlite":
        for table, taken in _TAKEN.items():
            op.execute(
                f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608  ours
                f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {taken}) "
                "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
            )


def downgrade() -> None:
    """Drop them."""
    if op.get_bind().dialect.name == "sqlite":
        for table in _TAKEN:
            op.execute(f"DROP TRIGGER {table}_no_replace")
