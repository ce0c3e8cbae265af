"""Tasks, their history, their sealed keys, and idempotency records."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "20261122_tasks"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
GUARDED = ("tasks", "task_events", "task_secrets", "idempotency_records")

# A task starts queued (a parent of others: running), moves only along these edges, and keeps its final state.
EDGES = (
    "queued>dispatching",
    "queued>cancelled",
    "queued>expired",
    "queued>error",
    "queued>outcome_unknown",
    "dispatching>queued",
    "dispatching>running",
    "dispatching>cancelled",
    "dispatching>error",
    "dispatching>outcome_unknown",
    "running>done",
    "running>error",
    "running>cancelled",
    "running>expired",
    "running>outcome_unknown",
)

CHECK_MOVE = f"""
CREATE FUNCTION check_task_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> (CASE WHEN NEW.kind = 'command' THEN 'queued' ELSE 'running' END) THEN
            RAISE EXCEPTION 'a task cannot start as %', NEW.state USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.tenant <> OLD.tenant OR NEW.id <> OLD.id OR NEW.device_id IS DISTINCT FROM OLD.device_id
            OR NEW.body <> OLD.body THEN
        RAISE EXCEPTION 'a task stays what it is' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> OLD.state THEN
        IF NOT OLD.state || '>' || NEW.state = ANY (ARRAY[{", ".join(f"'{edge}'" for edge in EDGES)}]) THEN
            RAISE EXCEPTION 'a task cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.state IN ('done', 'error', 'cancelled', 'expired', 'outcome_unknown') THEN
            NEW.ended_at := clock_timestamp();
        END IF;
    ELSIF OLD.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'a task that has ended does not change' USING ERRCODE = 'check_violation';
    END IF;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$
"""

RECORD_MOVE = """
CREATE FUNCTION record_task_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.state = OLD.state AND NEW.upstream_status IS NOT DISTINCT FROM OLD.upstream_status
            AND NEW.cancel_requested = OLD.cancel_requested THEN
        RETURN NULL;
    END IF;
    INSERT INTO task_events (task_id, tenant, from_state, to_state, detail)
    VALUES (NEW.id, NEW.tenant, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state, jsonb_strip_nulls(
        jsonb_build_object('attempt', NEW.attempt, 'note', NEW.note, 'xyte_command_id', NEW.upstream_id,
            'xyte_status', NEW.upstream_status, 'cancel_requested', NULLIF(NEW.cancel_requested, false),
            'error', NEW.problem->>'error')));
    IF NEW.ended_at IS NOT NULL THEN
        DELETE FROM task_secrets WHERE task_id = NEW.id;
    END IF;
    RETURN NULL;
END $$
"""

KEEP_EVENTS = """
CREATE FUNCTION keep_task_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = OLD.task_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the history of a task is only added to' USING ERRCODE = 'check_violation';
END $$
"""


def upgrade() -> None:
    """Apply."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    create_tables()
    op.execute("CREATE SEQUENCE task_fence")
    op.execute("INSERT INTO meta DEFAULT VALUES")
    for function in (CHECK_MOVE, RECORD_MOVE, KEEP_EVENTS):
        op.execute(function)
    op.execute(
        "CREATE TRIGGER check_task_move BEFORE INSERT OR UPDATE ON tasks"
        " FOR EACH ROW EXECUTE FUNCTION check_task_move()"
    )
    op.execute(
        "CREATE TRIGGER record_task_move AFTER INSERT OR UPDATE ON tasks"
        " FOR EACH ROW EXECUTE FUNCTION record_task_move()"
    )
    op.execute(
        "CREATE TRIGGER keep_task_events BEFORE UPDATE OR DELETE ON task_events"
        " FOR EACH ROW EXECUTE FUNCTION keep_task_events()"
    )
    for table in GUARDED:
        # The service owns its tables, so the policy is forced on the owner too; only a superuser passes it by.
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_rows ON {table} USING (tenant = current_setting('app.tenant', true)"
            " OR current_setting('app.worker', true) = 'on')"
        )


def downgrade() -> None:
    """Undo."""
    for table in ("idempotency_records", "task_secrets", "task_events", "tasks", "meta"):
        op.drop_table(table)
    op.execute("DROP SEQUENCE task_fence")
    for function in ("check_task_move", "record_task_move", "keep_task_events"):
        op.execute(f"DROP FUNCTION {function}()")


def create_tables() -> None:
    """The tables as their models say."""
    op.create_table(
        "meta",
        sa.Column("id", sa.SmallInteger(), server_default="1", autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("id = 1", name="meta_is_one_row"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="command", nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("device_id", sa.Text(), nullable=True),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("body", JSONB(), nullable=False),
        sa.Column("idempotent", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=True),
        sa.Column("run_after", MOMENT, server_default=NOW, nullable=False),
        sa.Column("not_after", MOMENT, nullable=False),
        sa.Column("dispatch_started_at", MOMENT, nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("follow_at", MOMENT, nullable=True),
        sa.Column("follow_until", MOMENT, nullable=True),
        sa.Column("followed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("upstream_id", sa.Text(), nullable=True),
        sa.Column("upstream_status", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("problem", JSONB(), nullable=True),
        sa.Column("evidence", JSONB(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "(ended_at IS NOT NULL) = (state IN ('done', 'error', 'cancelled', 'expired', 'outcome_unknown'))",
            name="tasks_final_has_ended",
        ),
        sa.CheckConstraint("kind <> 'command' OR device_id IS NOT NULL", name="tasks_command_has_device"),
        sa.CheckConstraint(
            "state <> 'dispatching' OR (kind = 'command' AND fence IS NOT NULL AND lease_until IS NOT NULL"
            " AND dispatch_started_at IS NOT NULL)",
            name="tasks_dispatching_is_fenced",
        ),
        sa.CheckConstraint("state <> 'error' OR problem IS NOT NULL", name="tasks_error_has_problem"),
        sa.CheckConstraint(
            "state IN ('queued', 'dispatching', 'running', 'done', 'error', 'cancelled', 'expired', 'outcome_unknown')",
            name="tasks_state_exists",
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["tasks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("tasks_by_device", "tasks", ["tenant", "device_id", sa.literal_column("id DESC")], unique=False)
    op.create_index(
        "tasks_by_parent", "tasks", ["parent_id"], unique=False, postgresql_where=sa.text("parent_id IS NOT NULL")
    )
    op.create_index("tasks_by_tenant", "tasks", ["tenant", sa.literal_column("id DESC")], unique=False)
    op.create_index(
        "tasks_dispatching", "tasks", ["lease_until"], unique=False, postgresql_where=sa.text("state = 'dispatching'")
    )
    op.create_index(
        "tasks_ended", "tasks", ["ended_at"], unique=False, postgresql_where=sa.text("ended_at IS NOT NULL")
    )
    op.create_index(
        "tasks_one_dispatching_per_device",
        "tasks",
        ["tenant", "device_id"],
        unique=True,
        postgresql_where=sa.text("state = 'dispatching'"),
    )
    op.create_index(
        "tasks_open",
        "tasks",
        ["tenant"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'dispatching', 'running')"),
    )
    op.create_index(
        "tasks_queued",
        "tasks",
        ["tenant", "sequence"],
        unique=False,
        postgresql_where=sa.text("kind = 'command' AND state = 'queued'"),
    )
    op.create_index(
        "tasks_queued_by_deadline", "tasks", ["not_after"], unique=False, postgresql_where=sa.text("state = 'queued'")
    )
    op.create_index(
        "tasks_running", "tasks", ["follow_at"], unique=False, postgresql_where=sa.text("state = 'running'")
    )
    op.create_index(
        "tasks_unsent_by_device",
        "tasks",
        ["tenant", "device_id", "sequence"],
        unique=False,
        postgresql_where=sa.text("kind = 'command' AND state IN ('queued', 'dispatching')"),
    )
    op.create_table(
        "idempotency_records",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 255", name="idempotency_key_length"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "operation", "key"),
    )
    op.create_index("idempotency_records_by_expiry", "idempotency_records", ["expires_at"], unique=False)
    op.create_index("idempotency_records_by_task", "idempotency_records", ["task_id"], unique=False)
    op.create_table(
        "task_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("task_events_by_task", "task_events", ["task_id", "id"], unique=False)
    op.create_table(
        "task_secrets",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index("task_secrets_by_expiry", "task_secrets", ["expires_at"], unique=False)
