"""Steps from one schema of the review store to the next; alembic reads them from this folder."""
