"""Dumps: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "device_send_dump",
        "POST /v1/device/{me}/dumps/text%2Fplain/crash.log",
        "POST /v1/devices/{me}/dumps/text%2Fplain/crash.log",
        body={"content": " one\n"},
        sent_body=b" one\n",
    ),
    Forwarded(
        "device_append_dump",
        "PUT /v1/device/{me}/dumps/dump-1",
        "PUT /v1/devices/{me}/dumps/dump-1",
        body={"content": "AAEC", "encoding": "base64"},
        sent_body=b"\x00\x01\x02",
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


async def test_a_mime_type_is_one_segment_however_it_is_written(door: Door) -> None:
    path = f"/v1/device/{door.ids['me']}/dumps/application/vnd.x+json/a.json"

    answer = await door.client.post(path, json={"content": "{}"})

    assert answer.status_code == 200
    assert door.requests[-1].url.raw_path.endswith(b"/dumps/application%2Fvnd.x%2Bjson/a.json")


@pytest.mark.parametrize(
    "tail",
    ["text/plain/%2e%2e", "text%2F..%2Fplain/x", "..%2Fplain/x", "text/plain/more/x", "text/x", "text%5Cplain/x"],
)
async def test_other_slashes_and_dots_are_refused(door: Door, tail: str) -> None:
    answer = await door.client.post(f"/v1/device/{door.ids['me']}/dumps/{tail}", json={"content": "x"})

    assert answer.status_code in (404, 405, 422)
    assert not door.requests


async def test_base64_has_to_be_base64(door: Door) -> None:
    answer = await door.client.put(
        f"/v1/device/{door.ids['me']}/dumps/dump-1", json={"content": "ä", "encoding": "base64"}
    )

    assert answer.status_code == 422
    assert not door.requests
