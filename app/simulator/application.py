"""The ASGI application around a simulator."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from app.simulator.settings import Settings
from app.simulator.simulator import Simulator


class Application(Starlette):
    """Starlette for the lifespan only: its middleware would turn a connection that was cut into an answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.state.simulator.handle(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_simulator(settings: Settings | None = None) -> Application:
    """A simulated cloud; without its lifespan, time passes only by `app.state.simulator.tick(seconds)`."""
    application = Application(lifespan=_living)
    application.state.simulator = Simulator(settings or Settings())
    return application


@asynccontextmanager
async def _living(application: Starlette) -> AsyncGenerator[None]:
    life = asyncio.create_task(application.state.simulator.run())
    try:
        yield
    finally:
        life.cancel()
        with suppress(asyncio.CancelledError):
            await life
