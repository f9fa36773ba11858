"""The tables, as they are after all migrations.

Law: this module describes and never creates; the steps in ``migrations`` do, and a test compares.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

VERSIONS = "tokenward_records"
"""The table in which Alembic notes how far the others are."""

editions = Table(
    "tokenward_editions",
    METADATA,
    # What there are editions of; then how many changes there have been.
    Column("of", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

clients = Table(
    "tokenward_clients",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("client_name", Text, nullable=False),
    Column("contact", Text, nullable=False),
    # Separated by spaces, as on the wire.
    Column("grant_types", Text, nullable=False),
    # NULL: only the rules decide.
    Column("scope", Text),
    Column("default_token", Text, nullable=False),
    # Seconds since the epoch.
    Column("registered", Float(53), nullable=False),
    # NULL: it is not.
    Column("disabled", Float(53)),
)

client_secrets = Table(
    "tokenward_client_secrets",
    METADATA,
    Column("client", String(128), ForeignKey(clients.c.id, ondelete="CASCADE"), primary_key=True),
    Column("name", String(64), primary_key=True),
    # sha256:<64 hex digits>, of 256 bits that nobody chose.
    Column("hash", String(71), nullable=False),
    Column("made", Float(53), nullable=False),
    # NULL: never.
    Column("expires", Float(53)),
)

api_keys = Table(
    "tokenward_api_keys",
    METADATA,
    Column("id", String(16), primary_key=True),
    # The [callers.<name>] it is for.
    Column("caller", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    # A JSON object.
    Column("claims", Text, nullable=False),
    # HMAC-SHA-256 in hex, of 256 bits that nobody chose, with a secret that is not in the tables.
    Column("digest", String(64), nullable=False),
    Column("made", Float(53), nullable=False),
    # NULL: never.
    Column("expires", Float(53)),
    # NULL: it was not.
    Column("revoked", Float(53)),
)

hub_keys = Table(
    "tokenward_hub_keys",
    METADATA,
    # As applications show it; no secret.
    Column("key", String(128), primary_key=True),
    # The [callers.<name>] it is for.
    Column("caller", Text, nullable=False),
    # user or account.
    Column("type", String(16), nullable=False),
    # 1: it has a secret, which is sealed and not in the tables. 0: it needs none.
    Column("secured", Integer, nullable=False),
    Column("made", Float(53), nullable=False),
    # NULL: it is not.
    Column("disabled", Float(53)),
)
