"""Versions of presets, the steps of their runs, and tenants' own kinds of devices."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "20261122_presets"
down_revision: str | None = "20261122_tasks"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True)
GUARDED = ("kind_rules", "preset_versions", "preset_steps")


def upgrade() -> None:
    """Apply."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.create_table(
        "kind_rules",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.CheckConstraint("field IN ('model', 'type', 'name')", name="kind_rules_field_exists"),
        sa.PrimaryKeyConstraint("tenant", "place"),
    )
    op.create_table(
        "preset_versions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", JSONB(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", "version"),
    )
    op.create_table(
        "preset_steps",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("stage", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("device_id", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("body", JSONB(), nullable=True),
        sa.Column("condition", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("delay_s", sa.Float(), server_default="0", nullable=False),
        sa.Column("timeout_s", sa.Float(), server_default="60", nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("stops", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("attempt", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("rerun_id", sa.Uuid(), nullable=True),
        sa.Column("ready_at", MOMENT, nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'skipped', 'failed', 'unknown', 'cancelled', 'not_run')",
            name="preset_steps_state_exists",
        ),
        sa.CheckConstraint("state <> 'running' OR task_id IS NOT NULL", name="preset_steps_running_has_task"),
        sa.CheckConstraint("attempt <= tries", name="preset_steps_has_tries_left"),
        sa.ForeignKeyConstraint(["run_id"], ["tasks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "number"),
    )
    for table in GUARDED:
        # As for tasks: the policy is forced on the owner too.
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_rows ON {table} USING (tenant = current_setting('app.tenant', true)"
            " OR current_setting('app.worker', true) = 'on')"
        )


def downgrade() -> None:
    """Undo."""
    for table in GUARDED[::-1]:
        op.drop_table(table)
