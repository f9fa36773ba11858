"""What do we keep for good?

Clients that are registered while the server runs, and in time people, their sessions and what they
agreed to: whatever has no best-before date and is looked through by people. It lies in the same
database as the store, in tables of its own, and is read and written by commands and consoles.

Law: no worker that serves tokens imports this package, nor what it stands on (SQLAlchemy, Alembic).
What a worker has to know is put on the shelf of the store, sealed, in editions (``directory``).
And no secret is written here, only what it can be recognised by.

To add a kind of record: its tables go into ``tables``, the step to them into
``migrations/versions``, and a file here says what can be done with it.
"""
