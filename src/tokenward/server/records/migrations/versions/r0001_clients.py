"""Clients that are registered while the server runs, and their secrets."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "tokenward_editions",
        sa.Column("of", sa.String(32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("of", name="pk_tokenward_editions"),
    )
    op.execute("INSERT INTO tokenward_editions VALUES ('clients', 0)")
    op.create_table(
        "tokenward_clients",
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("client_name", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("grant_types", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text()),
        sa.Column("default_token", sa.Text(), nullable=False),
        sa.Column("registered", sa.Float(53), nullable=False),
        sa.Column("disabled", sa.Float(53)),
        sa.PrimaryKeyConstraint("id", name="pk_tokenward_clients"),
    )
    op.create_table(
        "tokenward_client_secrets",
        sa.Column("client", sa.String(128), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(71), nullable=False),
        sa.Column("made", sa.Float(53), nullable=False),
        sa.Column("expires", sa.Float(53)),
        sa.PrimaryKeyConstraint("client", "name", name="pk_tokenward_client_secrets"),
        sa.ForeignKeyConstraint(
            ["client"],
            ["tokenward_clients.id"],
            name="fk_tokenward_client_secrets_client",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Take them away, and what is in them."""
    op.drop_table("tokenward_client_secrets")
    op.drop_table("tokenward_clients")
    op.drop_table("tokenward_editions")
