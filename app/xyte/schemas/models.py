"""Models: what a kind of device can do and wants to know."""

from typing import Annotated, Any

from pydantic import Field

from app.xyte.schemas.shapes import Identifier, Paging, Received

ModelId = Annotated[Identifier, Field(description="As in get_device (model.id) or list_models.")]


class ModelParameter(Received):
    name: str | None = None
    type: str | None = Field(None, description="text, textarea, password, number or file.")
    required: bool | None = None


class ModelField(Received):
    """A value that a command takes."""

    name: str | None = None
    type: str | None = Field(None, description="select, multiselect, number, text and others.")
    type_name: str | None = Field(
        None,
        alias="typeName",
        description="staticListSingle, staticListMulti, dynamicListSingle, dynamicListMulti and others.",
    )
    required: bool | None = None
    options: Any = Field(None, description="Allowed values of a static list, as an array or a map.")
    path: str | None = Field(None, description="Where a dynamic list comes from.")


class ModelCommand(Received):
    """A command that devices of the model understand."""

    id: str | None = None
    name: str | None = None
    friendly_name: str | None = None
    custom_fields: list[ModelField] | None = None
    with_file: bool | None = Field(None, description="Needs a file_id.")


class Model(Received):
    """A published model."""

    id: str | None = None
    vendor: str | None = None
    model: str | None = Field(None, description="Its name.")
    aliases: list[str] | None = None
    parameters: list[ModelParameter] | None = None
    commands: list[ModelCommand] | None = None


class ModelFilter(Paging):
    search: str | None = Field(None, min_length=1, max_length=255, description="Free text.")
    edge_only: bool | None = Field(None, description="Only models that an edge can claim.")
