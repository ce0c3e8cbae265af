"""The knobs of the simulator, read from the environment with the prefix SIMULATOR_."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PageContinuation = Literal["both", "next_page", "has_next_page"]


class Settings(BaseSettings):
    """Everything that can be chosen about a simulated cloud; most of it also while it runs."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_", validate_assignment=True, extra="ignore")

    seed: int = 1
    speed: float = Field(1.0, ge=0, description="Simulated seconds in one real second.")
    host: str = "127.0.0.1"
    port: int = Field(8090, ge=0, le=65535)
    public_url: str | None = Field(None, description="What devices are told as hub_url; the Host they called if unset.")

    failure_rate: float = Field(0.0, ge=0, le=1, description="Share of commands that devices fail.")
    outage_rate: float = Field(0.0, ge=0, description="Spontaneous outages in one hour of one device.")
    command_seconds: float | None = Field(None, ge=0, description="How long every command takes, if not as modelled.")
    pickup_seconds: float = Field(0.5, ge=0, description="How long a device takes at most to notice a command.")
    telemetry_seconds: float = Field(10.0, gt=0, description="Mean time between two reports of a device.")
    offline_after_seconds: float = Field(60.0, gt=0, description="Silence after which a device counts as offline.")

    page_continuation: PageContinuation = "both"
    edge_early_refusal: bool = Field(False, description="The first look at an edge job answers 422, as it may live.")
    device_rate_limit: int = Field(0, ge=0, description="Calls of one device in 30 seconds; 0 is no limit.")
    update_device_limit: int = Field(
        10, ge=0, description="Update Device calls of one device in an hour; 0 is no limit."
    )

    webhook_url: str | None = Field(None, description="Where the partner is told of registered and claimed devices.")
    webhook_secret: str = "fake-partner-webhook-secret-for-tests-0001"
