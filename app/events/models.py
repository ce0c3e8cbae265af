"""Tables of events. A tenant's sequence has no holes, so who misses a number knows that an event is gone."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Identity, Index, Integer, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Table

Moment = DateTime(timezone=True)


class EventStream(Table):
    """The last number given in a tenant's log; its row is held while events are added, so they commit in order."""

    __tablename__ = "event_streams"

    tenant: Mapped[str] = mapped_column(Text, primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)


class LoggedEvent(Table):
    """One thing that happened."""

    __tablename__ = "events"
    __table_args__ = (Index("events_by_time", "tenant", "stored_at", "sequence"),)

    tenant: Mapped[str] = mapped_column(Text, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[UUID] = mapped_column(server_default=func.gen_random_uuid())
    type: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)
    stored_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
    device_id: Mapped[str | None] = mapped_column(Text)
    space_id: Mapped[int | None] = mapped_column(BigInteger)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)


class OutboxEvent(Table):
    """What a task's move has to tell: written by a trigger in the task's transaction, moved to the log by a worker."""

    __tablename__ = "event_outbox"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
    device_id: Mapped[str | None] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)


class EventReceipt(Table):
    """A webhook that was taken, so that the same one again is known for a while."""

    __tablename__ = "event_receipts"
    __table_args__ = (Index("event_receipts_by_expiry", "expires_at"),)

    tenant: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class EventConsumer(Table):
    """How far a named consumer has come."""

    __tablename__ = "event_consumers"

    tenant: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    acknowledged: Mapped[int] = mapped_column(BigInteger)
    seen_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class EventWebhook(Table):
    """An address for others to hand events in; of its token and its secrets only hashes are kept."""

    __tablename__ = "event_webhooks"
    __table_args__ = (Index("event_webhooks_by_tenant", "tenant"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    tenant: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    secret_hash: Mapped[str] = mapped_column(Text)
    old_secret_hash: Mapped[str | None] = mapped_column(Text)
    old_secret_until: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    received_at: Mapped[datetime | None] = mapped_column(Moment)


class EventWatch(Table):
    """What was last seen of a tenant at the cloud, and which process looks. The two change together."""

    __tablename__ = "event_watches"

    tenant: Mapped[str] = mapped_column(Text, primary_key=True)
    holder: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    looked_at: Mapped[datetime | None] = mapped_column(Moment)
    look_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    version: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    view: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
