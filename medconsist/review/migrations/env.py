"""Alembic's entry: runs on the connection that the program hands over."""

from alembic import context

from medconsist.review.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
