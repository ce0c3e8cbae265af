"""The knobs of the simulator, read from the environment with the prefix SIMULATOR_."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PageContinuation = Literal["both", "next_page", "has_next_page"]


class Settings(BaseSettings):
    """Everything that can be chosen about a simulated cloud; most of it also while it runs."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_", validate_assignment=True, extra="ignore")

    seed: int = 1
    speed: float = Field(default=1.0, ge=0, description="Simulated seconds in one real second.")
    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=0, le=65535)
    public_url: str | None = Field(default=None, description="hub_url of devices; else the Host they called.")

    failure_rate: float = Field(default=0.0, ge=0, le=1, description="Share of commands that devices fail.")
    outage_rate: float = Field(default=0.0, ge=0, description="Spontaneous outages in one hour of one device.")
    command_seconds: float | None = Field(
        default=None, ge=0, description="How long each command takes; else as modelled."
    )
    pickup_seconds: float = Field(default=0.5, ge=0, description="How long a device takes at most to notice a command.")
    telemetry_seconds: float = Field(default=10.0, gt=0, description="Mean time between two reports of a device.")
    offline_after_seconds: float = Field(default=60.0, gt=0, description="The silence that makes a device offline.")

    page_continuation: PageContinuation = "both"
    edge_early_refusal: bool = Field(
        default=False, description="The first look at an edge job answers 422, as it may live."
    )
    device_rate_limit: int = Field(default=0, ge=0, description="Calls of one device in 30 seconds; 0 is no limit.")
    update_device_limit: int = Field(
        default=10, ge=0, description="Update Device calls of one device in an hour; 0 is no limit."
    )

    webhook_url: str | None = Field(default=None, description="Where the vendor hears of registrations and claims.")
    webhook_secret: str = Field(default="fake-partner-webhook-secret-for-tests-0001", repr=False)
