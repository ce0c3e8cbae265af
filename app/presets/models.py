"""Tables of presets: each version of a tenant's own, and the steps of every run."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Float, ForeignKey, Integer, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Table

StepState = Literal["waiting", "running", "done", "skipped", "failed", "unknown", "cancelled", "not_run"]
STATES = ("waiting", "running", "done", "skipped", "failed", "unknown", "cancelled", "not_run")
OPEN = ("waiting", "running")

Moment = DateTime(timezone=True)


class PresetVersion(Table):
    """One version of a tenant's preset; without a document it says that the preset was deleted."""

    __tablename__ = "preset_versions"

    tenant: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    document: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class PresetStep(Table):
    """One command of a run, for one device. Its run is a task, and so is each try of sending it."""

    __tablename__ = "preset_steps"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in STATES)})", name="preset_steps_state_exists"),
        CheckConstraint("state <> 'running' OR task_id IS NOT NULL", name="preset_steps_running_has_task"),
        CheckConstraint("attempt <= tries", name="preset_steps_has_tries_left"),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    tenant: Mapped[str] = mapped_column(Text)
    stage: Mapped[int] = mapped_column(SmallInteger)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str | None] = mapped_column(Text)
    device_id: Mapped[str | None] = mapped_column(Text)
    device: Mapped[str | None] = mapped_column(Text)
    body: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    condition: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    delay_s: Mapped[float] = mapped_column(Float, server_default="0")
    timeout_s: Mapped[float] = mapped_column(Float, server_default="60")
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    stops: Mapped[bool] = mapped_column(server_default=text("false"))
    state: Mapped[StepState] = mapped_column(Text, server_default="waiting")
    reason: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    task_id: Mapped[UUID | None]
    rerun_id: Mapped[UUID | None]
    ready_at: Mapped[datetime | None] = mapped_column(Moment)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
