"""Every knob of the service, read from the environment, with its default and unit."""

import base64
import binascii
import secrets
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretBytes, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

NO_POSTGRES = "absent://"
"""A DATABASE_URL that says there is none: what needs one says so at once."""
NO_REDIS = "unix:///nonexistent/redis.sock"
"""A REDIS_URL that leads nowhere: everything falls back at once, as it does while a Redis is away."""


def importable(module: str) -> bool:
    """Whether a module is there."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


class Settings(BaseSettings):
    """One field, one environment variable of the same name in capitals; lists are separated by commas."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    database_url: str = Field(repr=False, description="PostgreSQL 15 or later: postgresql://user:password@host/name.")
    redis_url: str = Field(repr=False, description="Redis 7 or later, or Valkey: redis://host:6379/0.")
    key_pepper: SecretStr = Field(
        min_length=32,
        description="At least 32 characters, the same on every replica: callers' keys are fingerprinted with it.",
    )

    sealing_keys: Annotated[tuple[SecretBytes, ...], NoDecode] = Field(
        min_length=1,
        description="32 bytes each in base64: the first seals callers' keys while their tasks live, all of them open.",
    )

    xyte_base_url: str = Field(
        default="https://hub.xyte.io", description="The one host that organization and partner keys are sent to."
    )
    xyte_entry_url: str = Field(default="https://entry.xyte.io", description="Where devices register (Device API).")
    xyte_device_hub_url: str = Field(
        default="https://hub.xyte.io",
        description="Where devices talk to (Device API); it varies by region, see hub_url in a registration's answer.",
    )
    xyte_timeout_s: float = Field(
        default=15.0, gt=0, description="For one call to the cloud, body and retries included."
    )
    xyte_answer_limit_bytes: int = Field(
        default=5 * 1024 * 1024, gt=0, description="A longer answer of the cloud is refused."
    )
    xyte_connections: int = Field(default=500, gt=0, description="Open connections to the cloud per process.")
    xyte_budget_per_minute: int = Field(
        default=600,
        gt=0,
        description="Calls per key and minute towards Xyte once Xyte has said 429; halved each time it does.",
    )

    rate_limit_per_minute: int = Field(default=60, gt=0, description="Requests per key and minute, over all replicas.")
    rate_limit_burst: int = Field(default=60, gt=0, description="How many of them may come at once.")
    device_commands_per_minute: int = Field(default=10, gt=0, description="Commands per device and minute.")
    replicas: int = Field(default=1, gt=0, description="Each replica allows limit / replicas while Redis is away.")

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("localhost", "127.0.0.1", "[::1]"), description="Names in the Host header that are answered; * is any."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Origins of other sites whose pages may call, such as https://console.example.com."
    )
    body_limit_bytes: int = Field(default=1024 * 1024, gt=0, description="A longer request is refused with 413.")
    body_timeout_s: float = Field(default=10.0, gt=0, description="A request body has to arrive within this time.")
    drain_s: float = Field(
        default=5.0,
        ge=0,
        description="How long serve, told to end by SIGTERM, still takes requests while /readyz says 503.",
    )
    json_depth: int = Field(default=32, gt=0, description="How deeply a request's JSON may be nested.")

    mcp_toolsets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("all",), description="Toolsets that requests may choose from; all is every one but device."
    )
    mcp_exclude_tools: Annotated[tuple[str, ...], NoDecode] = Field(default=(), description="Tools that nobody gets.")
    mcp_read_only: bool = Field(default=False, description="Offer only tools that change nothing.")

    tasks_wakeup: Literal["arq", "poll"] = Field(
        default="arq",
        description="What wakes the workers: arq over Redis, or PostgreSQL alone. The same on every process.",
    )
    tasks_at_once: int = Field(default=20, gt=0, description="Commands that one worker sends at a time.")
    tasks_at_once_per_tenant: int = Field(
        default=20, gt=0, description="Commands of one tenant being sent, over all workers."
    )
    tasks_open_per_tenant: int = Field(default=5_000, gt=0, description="Unfinished tasks a tenant may have.")
    tasks_open_per_device: int = Field(default=200, gt=0, description="Unsent commands that may wait for one device.")
    tasks_lease_s: float = Field(default=20.0, gt=0, description="A sender silent for so long is taken for dead.")
    tasks_grace_s: float = Field(
        default=90.0,
        gt=0,
        description="Not in Xyte's list so long after the sending: the command was not taken.",
    )
    tasks_clock_skew_s: float = Field(default=5.0, ge=0, description="How far Xyte's clock may be behind PostgreSQL's.")
    tasks_marker: bool = Field(
        default=False,
        description="Send a marker in friendly_name. Only where Xyte is known to give it back in its lists.",
    )
    tasks_follow_s: float = Field(
        default=3600.0, gt=0, description="How long a command that Xyte took is followed to its end."
    )
    tasks_follow_every_s: float = Field(
        default=1.0, gt=0, description="First wait between two looks; it grows to 15 seconds."
    )
    tasks_drain_s: float = Field(
        default=25.0, ge=0, description="How long a worker that is stopped waits for what it sends."
    )
    worker_metrics_port: int = Field(
        default=0, ge=0, lt=65_536, description="Where a worker shows metrics; 0: nowhere."
    )
    tasks_keep_days: int = Field(default=30, gt=0, description="How long finished tasks are kept.")
    events_keep_days: float = Field(default=7.0, gt=0, description="How long events are kept.")
    events_keep_count: int = Field(default=100_000, gt=0, description="Events kept per tenant; older ones go first.")
    events_readers_per_tenant: int = Field(
        default=1_000, gt=0, description="Streams and waiting calls of one tenant in one process."
    )
    events_watch_s: float = Field(
        default=10.0, gt=0, description="Shortest time between two looks at the cloud while somebody listens."
    )
    events_watch_slowest_s: float = Field(
        default=20.0, gt=0, description="Longest time between them, after a while without changes."
    )
    webhook_limit_bytes: int = Field(default=65_536, gt=0, description="A longer webhook is refused with 413.")
    webhooks_per_minute: int = Field(default=600, gt=0, description="Webhooks taken per address and minute.")
    environment: Literal["production", "test"] = Field(
        default="production", description="test allows what makes processes fail on purpose."
    )
    crash_at: str = Field(default="", description="For tests: the step at which the process ends at once.")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="From which level on our own loggers write; libraries' do from WARNING on."
    )
    otel_exporter_otlp_endpoint: str = Field(
        default="",
        description="Where traces go: an OpenTelemetry collector's OTLP over HTTP, such as http://127.0.0.1:4318.",
    )
    public_url: str = Field(default="", description="Where callers reach this service; empty: what their request says.")

    @field_validator("allowed_hosts", "cors_origins", "mcp_toolsets", "mcp_exclude_tools", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("sealing_keys", mode="before")
    @classmethod
    def _decode(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            keys = [base64.b64decode(part.strip(), validate=True) for part in value.split(",") if part.strip()]
        except binascii.Error:
            raise ValueError("not base64") from None
        return tuple(keys)

    @field_validator("sealing_keys")
    @classmethod
    def _strong(cls, value: tuple[SecretBytes, ...]) -> tuple[SecretBytes, ...]:
        if any(len(key.get_secret_value()) != 32 for key in value):
            raise ValueError("each key is 32 bytes in base64, such as `openssl rand -base64 32` makes")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.tasks_lease_s <= self.xyte_timeout_s:
            raise ValueError("TASKS_LEASE_S has to be longer than XYTE_TIMEOUT_S")
        if self.tasks_grace_s <= self.tasks_lease_s:
            raise ValueError("TASKS_GRACE_S has to be longer than TASKS_LEASE_S")
        if self.events_watch_slowest_s < self.events_watch_s:
            raise ValueError("EVENTS_WATCH_SLOWEST_S has to be at least EVENTS_WATCH_S")
        if self.crash_at and self.environment != "test":
            raise ValueError("CRASH_AT is for ENVIRONMENT=test alone")
        return self

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _possible(cls, value: str) -> str:
        if value and not all(map(importable, ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))):
            raise ValueError("traces need the extra: pip install 'xyte-gateway[traces]'")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator(
        "xyte_base_url", "xyte_entry_url", "xyte_device_hub_url", "public_url", "otel_exporter_otlp_endpoint"
    )
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")


def settings_alone(environment: Mapping[str, str]) -> Settings:
    """For a process with one caller, in which nothing has to be set: stores may be absent, secrets last as long."""
    own: dict[str, Any] = {
        "database_url": NO_POSTGRES,
        "redis_url": NO_REDIS,
        "key_pepper": secrets.token_urlsafe(48),
        "sealing_keys": base64.b64encode(secrets.token_bytes(32)).decode(),
        "log_level": "WARNING",
    }
    given = {name: environment[name.upper()] for name in own if environment.get(name.upper())}
    values: dict[str, Any] = own | given | {"allowed_hosts": ("localhost",)}
    return Settings(**values)
