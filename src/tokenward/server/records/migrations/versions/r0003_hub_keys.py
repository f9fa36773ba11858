"""Hub keys: for whom they are, and until when."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.execute("INSERT INTO tokenward_editions VALUES ('hub-keys', 0)")
    op.create_table(
        "tokenward_hub_keys",
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("secured", sa.Integer(), nullable=False),
        sa.Column("made", sa.Float(53), nullable=False),
        sa.Column("disabled", sa.Float(53)),
        sa.PrimaryKeyConstraint("key", name="pk_tokenward_hub_keys"),
    )


def downgrade() -> None:
    """Take it away, and what is in it."""
    op.drop_table("tokenward_hub_keys")
    op.execute("DELETE FROM tokenward_editions WHERE \"of\" = 'hub-keys'")
