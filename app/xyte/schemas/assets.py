"""Assets: the inventory, connected or not, and the labels it is sorted by."""

from typing import Annotated, Literal

from pydantic import Field

from app.xyte.schemas.shapes import Identifier, Moment, Named, Paging, Received, Sent, SpaceNumber, Update

AssetId = Annotated[Identifier, Field(description="From list_assets.")]
LabelCategory = Literal["manufacturer", "device_model", "device_type", "status"]


class LabelId(Sent):
    """A label that there is."""

    id: Identifier = Field(description="From list_asset_labels.")


Label = Annotated[str, Field(min_length=1, max_length=255)] | LabelId


class Asset(Received):
    """An inventory entry; each label has an id and a name."""

    id: str | None = None
    name: str | None = None
    serial_number: str | None = None
    space_id: int | None = None
    purchased_at: str | None = Field(None, description="ISO 8601.")
    comments: str | None = None
    icon_name: str | None = None
    manufacturer: Named | None = None
    device_model: Named | None = None
    device_type: Named | None = None
    status: Named | None = None
    created_at: str | None = Field(None, description="ISO 8601.")
    updated_at: str | None = Field(None, description="ISO 8601.")


class AssetFilter(Paging):
    name: str | None = Field(None, max_length=255, description="Only assets of this name.")
    serial_number: str | None = Field(None, max_length=255)
    space_id: SpaceNumber | None = Field(None, description="Only assets in this space.")


class AssetDetails(Sent):
    """What may be said of an asset besides its name."""

    serial_number: str | None = Field(None, max_length=255, examples=["SN-000123"])
    space_id: SpaceNumber | None = Field(None, description="Where it is (list_spaces).")
    purchased_at: Moment | None = Field(None, description="ISO 8601.", examples=["2024-01-15T00:00:00Z"])
    comments: str | None = Field(None, max_length=10_000)
    icon_name: str | None = Field(None, max_length=255, examples=["projector"])
    manufacturer: Label | None = Field(None, description="A label is its name, or {id}.", examples=["Sony"])
    device_model: Label | None = None
    device_type: Label | None = None
    status: Label | None = None


class AssetCreate(AssetDetails):
    name: str = Field(min_length=1, max_length=255, examples=["Ceiling projector"])


class AssetUpdate(AssetDetails, Update):
    name: str | None = Field(None, min_length=1, max_length=255)
