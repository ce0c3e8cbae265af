"""Plain fastapi-mcp as its README shows it: a FastAPI app of 80 typed routes, each asking the cloud by httpx."""

import os
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Header, Path
from fastapi_mcp import FastApiMCP
from pydantic import BaseModel, ConfigDict, create_model

from operations import KEY_HEADER, OPERATIONS, VERBS, name_of, path_of

client = httpx.AsyncClient(base_url=os.environ["BENCH_UPSTREAM"])
app = FastAPI()


class Item(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str
    name: str


def add(verb: str, resource: str) -> None:
    model = create_model(resource.capitalize(), __base__=Item)

    async def forward(key: str | None, item_id: str = "", **sent: Any) -> Any:
        path = f"/core/v1/organization/{resource}s" + (f"/{item_id}" if item_id else "")
        answer = await client.request(VERBS[verb], path, headers={"Authorization": key or ""}, **sent)
        answer.raise_for_status()
        return answer.json()

    Key = Annotated[str | None, Header(alias=KEY_HEADER, include_in_schema=False)]
    Id = Annotated[str, Path(alias=f"{resource}_id")]

    async def one(item_id: Id, key: Key = None) -> Any:
        return await forward(key, item_id)

    async def many(page: int = 1, per_page: int = 25, key: Key = None) -> Any:
        return await forward(key, params={"page": page, "per_page": per_page})

    async def create(item: model, key: Key = None) -> Any:
        return await forward(key, json=item.model_dump())

    async def update(item_id: Id, item: model, key: Key = None) -> Any:
        return await forward(key, item_id, json=item.model_dump())

    endpoint = {"get": one, "list": many, "create": create, "update": update, "delete": one}[verb]
    app.add_api_route(
        path_of(verb, resource, "/v1"),
        endpoint,
        methods=[VERBS[verb]],
        operation_id=name_of(verb, resource),
        response_model=list[model] if verb == "list" else model,
        summary=f"{verb.capitalize()} {resource}",
    )


for operation in OPERATIONS:
    add(*operation)

FastApiMCP(app, headers=["authorization", KEY_HEADER.lower()]).mount_http()
