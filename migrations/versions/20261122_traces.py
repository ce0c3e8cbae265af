"""Tasks carry the trace that they belong to."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "20261122_traces"
down_revision: str | None = "20261122_presets"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.add_column("tasks", sa.Column("traceparent", sa.Text(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("tasks", "traceparent")
