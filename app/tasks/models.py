"""Tables of tasks. What must never be is refused by the database: see the triggers and policies in `migrations`."""

import os
import time
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Table

State = Literal["queued", "dispatching", "running", "done", "error", "cancelled", "expired", "outcome_unknown"]
FINAL = frozenset[State]({"done", "error", "cancelled", "expired", "outcome_unknown"})

Moment = DateTime(timezone=True)


def new_id() -> UUID:
    """A UUID of version 7: ids rise with time, so that their index grows at one end."""
    random = int.from_bytes(os.urandom(10))
    moment = time.time_ns() // 1_000_000
    return UUID(int=moment << 80 | 7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1)


class Meta(Table):
    """What holds for the whole database: its epoch rises when a backup was restored."""

    __tablename__ = "meta"
    __table_args__ = (CheckConstraint("id = 1", name="meta_is_one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default="1", autoincrement=False)
    epoch: Mapped[int] = mapped_column(Integer, server_default="1")


class Task(Table):
    """One thing to do: a command to a device, or the parent of several."""

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'dispatching', 'running', 'done', 'error', 'cancelled', 'expired', 'outcome_unknown')",
            name="tasks_state_exists",
        ),
        CheckConstraint("kind <> 'command' OR device_id IS NOT NULL", name="tasks_command_has_device"),
        CheckConstraint(
            "state <> 'dispatching' OR (kind = 'command' AND fence IS NOT NULL AND lease_until IS NOT NULL"
            " AND dispatch_started_at IS NOT NULL)",
            name="tasks_dispatching_is_fenced",
        ),
        CheckConstraint(
            "(ended_at IS NOT NULL) = (state IN ('done', 'error', 'cancelled', 'expired', 'outcome_unknown'))",
            name="tasks_final_has_ended",
        ),
        CheckConstraint("state <> 'error' OR problem IS NOT NULL", name="tasks_error_has_problem"),
        Index(
            "tasks_one_dispatching_per_device",
            "tenant",
            "device_id",
            unique=True,
            postgresql_where=text("state = 'dispatching'"),
        ),
        Index(
            "tasks_unsent_by_device",
            "tenant",
            "device_id",
            "sequence",
            postgresql_where=text("kind = 'command' AND state IN ('queued', 'dispatching')"),
        ),
        Index("tasks_queued", "tenant", "sequence", postgresql_where=text("kind = 'command' AND state = 'queued'")),
        Index("tasks_queued_by_deadline", "not_after", postgresql_where=text("state = 'queued'")),
        Index("tasks_dispatching", "lease_until", postgresql_where=text("state = 'dispatching'")),
        Index("tasks_running", "follow_at", postgresql_where=text("state = 'running'")),
        Index(
            # Not by state: it is for counting, and not to be taken for finding a device's next command.
            "tasks_open",
            "tenant",
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("tasks_by_tenant", "tenant", text("id DESC")),
        Index("tasks_by_device", "tenant", "device_id", text("id DESC")),
        Index("tasks_by_parent", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index("tasks_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, Identity())
    tenant: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text, server_default="command")
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    device_id: Mapped[str | None] = mapped_column(Text)
    command: Mapped[str] = mapped_column(Text)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    idempotent: Mapped[bool]
    state: Mapped[State] = mapped_column(Text, server_default="queued")
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    fence: Mapped[int | None] = mapped_column(BigInteger)
    run_after: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    not_after: Mapped[datetime] = mapped_column(Moment)
    dispatch_started_at: Mapped[datetime | None] = mapped_column(Moment)
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    follow_at: Mapped[datetime | None] = mapped_column(Moment)
    follow_until: Mapped[datetime | None] = mapped_column(Moment)
    followed: Mapped[int] = mapped_column(Integer, server_default="0")
    upstream_id: Mapped[str | None] = mapped_column(Text)
    upstream_status: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    note: Mapped[str | None] = mapped_column(Text)
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    epoch: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    traceparent: Mapped[str | None] = mapped_column(Text)


class TaskEvent(Table):
    """One step of a task's life; written by a trigger, and by nobody changed."""

    __tablename__ = "task_events"
    __table_args__ = (Index("task_events_by_task", "task_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    tenant: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
    from_state: Mapped[str | None] = mapped_column(Text)
    to_state: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB)


class TaskSecret(Table):
    """A caller's key, sealed; a trigger deletes it when the task ends."""

    __tablename__ = "task_secrets"
    __table_args__ = (Index("task_secrets_by_expiry", "expires_at"),)

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    tenant: Mapped[str] = mapped_column(Text)
    key_id: Mapped[str] = mapped_column(Text)
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class IdempotencyRecord(Table):
    """What a caller's idempotency key stands for: a task, or the answer that was given."""

    __tablename__ = "idempotency_records"
    __table_args__ = (
        CheckConstraint("length(key) BETWEEN 1 AND 255", name="idempotency_key_length"),
        Index("idempotency_records_by_expiry", "expires_at"),
        Index("idempotency_records_by_task", "task_id"),
    )

    tenant: Mapped[str] = mapped_column(Text, primary_key=True)
    operation: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    status: Mapped[int | None] = mapped_column(SmallInteger)
    media_type: Mapped[str | None] = mapped_column(Text)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(Moment)
