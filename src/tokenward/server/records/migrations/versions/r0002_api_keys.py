"""API keys: what they are recognised by, for whom they are, and until when."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.execute("INSERT INTO tokenward_editions VALUES ('api-keys', 0)")
    op.create_table(
        "tokenward_api_keys",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("claims", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made", sa.Float(53), nullable=False),
        sa.Column("expires", sa.Float(53)),
        sa.Column("revoked", sa.Float(53)),
        sa.PrimaryKeyConstraint("id", name="pk_tokenward_api_keys"),
    )


def downgrade() -> None:
    """Take it away, and what is in it."""
    op.drop_table("tokenward_api_keys")
    op.execute("DELETE FROM tokenward_editions WHERE \"of\" = 'api-keys'")
