"""The simulator as a server of its own, which can cut a connection without a byte of answer."""

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.simulator.answers import TRANSPORT
from app.simulator.application import Application, create_simulator
from app.simulator.settings import Settings


class CuttableProtocol(HttpToolsProtocol):
    """HTTP whose connection the application can reach."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


def configuration(application: Application, host: str, port: int) -> uvicorn.Config:
    """How the simulator is served; nothing of a request is logged."""
    return uvicorn.Config(
        application, host=host, port=port, http=CuttableProtocol, ws="none", access_log=False, log_level="warning"
    )


def serve(settings: Settings | None = None) -> None:
    """Run the simulator until it is stopped."""
    settings = settings or Settings()
    uvicorn.Server(configuration(create_simulator(settings), settings.host, settings.port)).run()
