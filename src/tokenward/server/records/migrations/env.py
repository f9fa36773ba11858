"""What Alembic is told when it takes a step: the connection it is given, and to stay within it."""

from alembic import context

from tokenward.server.records.tables import METADATA, VERSIONS

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSIONS,
    # All steps are one transaction, which is not ours to begin or end: whoever is killed in the
    # middle has changed nothing. SQLite can do that, too, if nobody else begins its transactions.
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
