"""Alembic's entry: runs the migrations on the connection that `db.database` hands over, inside
its transaction, so that a failed migration leaves nothing behind."""

from alembic import context

from portico.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
