"""Commands: what a device is told to do, and what became of it."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from app.xyte.schemas.shapes import Flag, Identifier, JsonObject, Paging, Received, Sent

CommandId = Annotated[Identifier, Field(description="From get_device_commands.")]
CommandStatus = Literal["scheduled", "pending", "in_progress", "done", "failed", "aborted"]


class Command(Received):
    """A command and its fate; `done`, `failed` and `aborted` are final."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0b0f6a4e-7a0e-4d53-9f0e-6f3f5a1c2d3e",
                "status": "pending",
                "name": "power_on",
                "params": {},
                "created_at": "2026-11-22T10:00:00.000Z",
            }
        }
    )

    id: str | None = None
    status: str | None = Field(None, description="scheduled, pending, in_progress, done, failed or aborted.")
    name: str | None = None
    friendly_name: str | None = None
    params: JsonObject | None = None
    file_id: str | None = None
    message: str | None = Field(None, description="The device's words, mostly on failure.")
    created_at: str | None = Field(None, description="ISO 8601.")
    updated_at: str | None = Field(None, description="ISO 8601.")


class CommandSend(Sent):
    """The command by its name (or friendly name) in the device's model."""

    name: str | None = Field(
        None, min_length=1, max_length=200, description="Command name of the device's model.", examples=["power_on"]
    )
    friendly_name: str | None = Field(None, min_length=1, max_length=200, description="Instead of name.")
    extra_params: JsonObject = Field(
        default_factory=dict[str, Any], description="Values by the command's custom field names."
    )
    file_id: Identifier | None = Field(None, description="For commands that take a file.")
    skip_validation: Flag = Field(False, description="Send even what the model does not list.")

    @model_validator(mode="after")
    def _one_selector(self) -> Self:
        if not (self.name or self.friendly_name):
            raise ValueError("give name or friendly_name")
        return self

    def to_xyte(self, known_name: str | None = None) -> dict[str, Any]:
        """Xyte's sources disagree whether the selector is `name` or `command`, so both are sent."""
        body = self.model_dump(exclude_none=True, exclude={"skip_validation"})
        name = known_name or self.name
        return body | {"name": name, "command": name} if name else body


class CommandFilter(Paging):
    status: CommandStatus | None = Field(None, description="Only commands in this status.")
