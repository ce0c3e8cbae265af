"""The log of events, what feeds it, who reads it, webhooks and watches."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "20261122_events"
down_revision: str | None = "20261122_traces"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
CLOCK = sa.text("clock_timestamp()")
SOME_ID = sa.text("gen_random_uuid()")
OWN = "tenant = current_setting('app.tenant', true) OR current_setting('app.worker', true) = 'on'"
GUARDED = (
    "event_streams",
    "events",
    "event_outbox",
    "event_receipts",
    "event_consumers",
    "event_webhooks",
    "event_watches",
)

# The steps between queued and running are the worker's own affair.
TELL_TASK_MOVE = """
CREATE FUNCTION tell_task_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    origin text := CASE WHEN NEW.kind = 'preset' THEN 'preset' ELSE 'task' END;
    step text := NEW.state;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.state = OLD.state THEN
            IF NEW.upstream_status IS NOT DISTINCT FROM OLD.upstream_status THEN
                RETURN NULL;
            END IF;
            step := 'progress';
        ELSIF NEW.state IN ('queued', 'dispatching') THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO event_outbox (tenant, type, source, device_id, data)
    VALUES (NEW.tenant, origin || '.' || step, origin, NEW.device_id, jsonb_strip_nulls(jsonb_build_object(
        'task_id', NEW.id, 'parent_id', NEW.parent_id, 'command', NEW.command, 'state', NEW.state,
        'xyte_status', NEW.upstream_status, 'xyte_command_id', NEW.upstream_id, 'message', NEW.message,
        'note', NEW.note, 'error', NEW.problem->>'error')));
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Apply."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    create_log()
    create_readers()
    op.execute(TELL_TASK_MOVE)
    op.execute(
        "CREATE TRIGGER tell_task_move AFTER INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION tell_task_move()"
    )
    for table in GUARDED:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN})")
    # Who hands in an event has no tenant yet: the token leads to it, and shows that one row alone.
    op.execute(
        "CREATE POLICY by_token ON event_webhooks FOR SELECT"
        " USING (token_hash = current_setting('app.webhook_token', true))"
    )


def downgrade() -> None:
    """Undo."""
    op.execute("DROP TRIGGER tell_task_move ON tasks")
    op.execute("DROP FUNCTION tell_task_move()")
    for table in reversed(GUARDED):
        op.drop_table(table)


def create_log() -> None:
    """The log and what feeds it."""
    op.create_table(
        "event_streams",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    op.create_table(
        "events",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), server_default=SOME_ID, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("stored_at", MOMENT, server_default=CLOCK, nullable=False),
        sa.Column("device_id", sa.Text(), nullable=True),
        sa.Column("space_id", sa.BigInteger(), nullable=True),
        sa.Column("data", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "sequence"),
    )
    op.create_index("events_by_time", "events", ["tenant", "stored_at", "sequence"], unique=False)
    op.create_table(
        "event_outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, server_default=CLOCK, nullable=False),
        sa.Column("device_id", sa.Text(), nullable=True),
        sa.Column("data", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "event_receipts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest"),
    )
    op.create_index("event_receipts_by_expiry", "event_receipts", ["expires_at"], unique=False)


def create_readers() -> None:
    """Consumers, webhooks and watches."""
    op.create_table(
        "event_consumers",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("acknowledged", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", MOMENT, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
    )
    op.create_table(
        "event_webhooks",
        sa.Column("id", sa.Uuid(), server_default=SOME_ID, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("old_secret_hash", sa.Text(), nullable=True),
        sa.Column("old_secret_until", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("received_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index("event_webhooks_by_tenant", "event_webhooks", ["tenant"], unique=False)
    op.create_table(
        "event_watches",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("looked_at", MOMENT, nullable=True),
        sa.Column("look_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("view", JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("tenant"),
    )
