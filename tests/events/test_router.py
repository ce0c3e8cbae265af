"""Events over REST: read, take one by one, hand in."""

from typing import Any

import httpx


async def webhook(client: httpx.AsyncClient) -> dict[str, Any]:
    made = await client.post("/v1/webhooks", json={"name": "Doors"})
    assert made.status_code == 201, made.text
    return made.json()


async def hand_in(client: httpx.AsyncClient, hook: dict[str, Any], **body: Any) -> httpx.Response:
    headers = {"X-XYTE-API-KEY": ""}
    return await client.post(hook["path"], json={"secret": hook["secret"]} | body, headers=headers)


async def test_what_is_handed_in_is_listed(client: httpx.AsyncClient) -> None:
    hook = await webhook(client)
    stored = await hand_in(client, hook, type="door.opened", data={"device_id": "d1", "n": 1})

    page = (await client.get("/v1/events")).json()

    assert stored.status_code == 200, stored.text
    assert stored.json() == {"stored": True, "duplicate": False}
    assert [(e["sequence"], e["type"], e["source"], e["device_id"], e["data"]) for e in page["items"]] == [
        (1, "door.opened", "webhook", "d1", {"device_id": "d1", "n": 1})
    ]
    assert page["next_after"] == 1
    assert page["has_more"] is False
