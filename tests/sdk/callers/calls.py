"""Five calls with the generated Python client; it is checked together with the client, and not with the rest."""

import sys

from xyte_gateway_client import AuthenticatedClient
from xyte_gateway_client.api.commands import send_command
from xyte_gateway_client.api.devices import get_device, list_devices
from xyte_gateway_client.models import Command, CommandSend, Device, PageDevice, ProblemDocument


def main(url: str, key: str) -> None:
    with AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True) as client:
        devices = list_devices.sync(client=client, per_page=100)
        assert isinstance(devices, PageDevice)
        first = next(device for device in devices.items if device.status == "online")
        assert isinstance(first.id, str)

        device = get_device.sync(first.id, client=client)
        assert isinstance(device, Device)
        assert device.id == first.id

        command = send_command.sync(first.id, client=client, body=CommandSend(name="power_on"))
        assert isinstance(command, Command)
        assert command.name == "power_on"

        missing = get_device.sync_detailed("no-such-device", client=client)
        assert missing.status_code == 404
        assert isinstance(missing.parsed, ProblemDocument)
        assert missing.parsed.error == "xyte_not_found"
        assert missing.parsed.source == "xyte"

        assert device.space
        assert isinstance(device.space.id, int)
        here = list_devices.sync(client=client, space_id=device.space.id)
        assert isinstance(here, PageDevice)
        assert first.id in {device.id for device in here.items}
        assert len(here.items) < len(devices.items)
    print("5 calls")


main(*sys.argv[1:])
