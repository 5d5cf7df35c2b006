"""Runs the migrations on the connection that `regulars.store.migrate` passes."""

from alembic import context

from regulars.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller has begun the transaction and will commit it
)
context.run_migrations()
