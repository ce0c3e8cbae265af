"""The index for counting open tasks is not taken any more for finding a device's next command."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "20261123_open_tasks"
down_revision: str | None = "20261122_events"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BEFORE = sa.text("state IN ('queued', 'dispatching', 'running')")


def upgrade() -> None:
    """Apply."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_index("tasks_open", table_name="tasks")
    op.create_index("tasks_open", "tasks", ["tenant"], postgresql_where=sa.text("ended_at IS NULL"))


def downgrade() -> None:
    """Undo."""
    op.drop_index("tasks_open", table_name="tasks")
    op.create_index("tasks_open", "tasks", ["tenant"], postgresql_where=BEFORE)
