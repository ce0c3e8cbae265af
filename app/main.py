"""The API process: one application, and what is mounted on it."""

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from functools import cache
from types import FrameType

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from fastapi.telemetry import TelemetryConfig
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from app import __version__, auth, device, health, organization, pages, partner
from app.dependencies import Admitted
from app.errors import InvalidInput, MethodNotAllowed, NotFound, Problem, UnsupportedMediaType, invalid
from app.events import router as events
from app.events.feed import Feeds
from app.guard import Guard, route_of
from app.mcp import router as operations
from app.mcp import transport
from app.mcp.server import GatewayMCP
from app.openapi import DESCRIPTION, describe, documented
from app.presets import router as presets
from app.resources import get_resources, open_resources
from app.rooms import router as rooms
from app.settings import Settings
from app.tasks import router as tasks
from app.tasks.replays import Replays
from app.telemetry import METHODS, configure_logging
from app.tracing import Traces

# FastAPI's own spans hold paths and queries, and thereby ids, or a key that somebody put there: ours do not.
UNTOLD: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
PROBLEMS = documented(400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 429, 500, 502, 503, 504)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; connections are opened when it starts."""
    settings = settings or Settings.model_validate({})
    configure_logging(settings.log_level)
    app = FastAPI(
        telemetry=UNTOLD,
        title="Xyte gateway",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.settings = settings
    own = (rooms.router, presets.router, tasks.router, *events.routers)
    include(app, "/v1", *organization.routers, *own, operations.router)
    include(app, "/v1/partner", *partner.routers)
    include(app, "/v1/device", *device.routers, tags=["Device API"])
    app.state.fixed_paths = fixed_paths(app)
    app.include_router(events.inbox, responses=documented(403, 404, 413, 422, 429, 503))
    app.include_router(health.router)
    app.include_router(pages.router)
    describe(app, settings.public_url)
    Instrumentator().expose(app, include_in_schema=False)
    app.add_api_route("/.well-known/{path:path}", no_discovery, methods=[*METHODS], include_in_schema=False)
    app.add_api_route("/{path:path}", nowhere, methods=[*METHODS], include_in_schema=False, dependencies=[Admitted])
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http_exception)
    mount_mcp(app)
    app.add_middleware(Replays)
    if settings.otel_exporter_otlp_endpoint:
        app.add_middleware(Traces, meta_in=transport.meta_in, name_of=span_name)
    app.add_middleware(Guard, settings=settings, render=render)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID", "WWW-Authenticate"],
        )
    return app


def span_name(scope: Scope) -> str:
    """What a request was, in words of which there are few."""
    operation = scope["state"].get("operation")
    return f"tools/call {operation}" if operation else f"{scope['method']} {route_of(scope) or scope['method']}"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Open what outlives a request; then take the start-up's objects out of the garbage collector's sight."""
    async with open_resources(app.state.settings) as resources, app.state.mcp.running():
        app.state.resources = resources
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 50, 50)
        with hearing_signals(resources.the(Feeds).leave):
            yield


@contextmanager
def hearing_signals(tell: Callable[[], None]) -> Generator[None]:
    """Tell of a signal to stop: uvicorn ends the lifespan after all answers have ended, and a stream has no end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def hear(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(tell)
        handle = before[signal.Signals(number)]
        if callable(handle):
            handle(number, frame)

    for number in before:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handle in before.items():
            signal.signal(number, handle)


def announce_end(app: FastAPI) -> None:
    """From now on `/readyz` tells whoever sends requests here to send them to others."""
    app.state.resources.leaving = True


def include(app: FastAPI, prefix: str, *routers: APIRouter, tags: list[str | Enum] | None = None) -> None:
    """Routes behind key and limit. Side by side, since each router around another one costs every request."""
    for router in routers:
        app.include_router(router, prefix=prefix, tags=tags, dependencies=[Admitted], responses=PROBLEMS)


def fixed_paths(app: FastAPI) -> dict[str, list[str]]:
    """The paths without parameters, and what they answer to."""
    paths: dict[str, set[str]] = {}
    for route in iter_route_contexts(app.routes):
        if route.path and "{" not in route.path:
            paths.setdefault(route.path, set()).update(route.methods or ())
    return {path: sorted(methods) for path, methods in paths.items()}


def mount_mcp(app: FastAPI) -> None:
    """The protocol's endpoint, which needs no router."""
    gateway = GatewayMCP(app)
    app.state.mcp = transport.mounted(gateway)
    app.state.catalogue = gateway.catalogue
    app.add_middleware(transport.McpDoor, endpoint=app.state.mcp)


async def nowhere(request: Request) -> None:
    """No route took it: say whether the path or the method was wrong."""
    if allowed := methods_of(request):
        raise MethodNotAllowed(allowed)
    raise NotFound("No such path. /openapi.json lists those there are.")


def methods_of(request: Request) -> list[str]:
    """What the request's path answers to."""
    allowed = {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.path != "/{path:path}" and route.path_regex.match(request.scope["path"])
        for method in route.methods or ()
    }
    return sorted(allowed)


async def no_discovery() -> None:
    """There is no authorization server: a client that looks for one should use its key."""
    raise NotFound("No authorization server here: send a Xyte API key in X-XYTE-API-KEY.")


def render(scope: Scope, problem: Problem) -> Response:
    """A problem in the form that the path's clients read."""
    if transport.is_mcp(scope):
        return transport.as_jsonrpc(scope, problem)
    body = problem.body(scope["state"].get("request_id"))
    return JSONResponse(body, problem.status, problem.headers, media_type="application/problem+json")


async def on_problem(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, Problem)
    request.scope["state"]["outcome"] = failure.error
    return render(request.scope, failure)


async def on_invalid(request: Request, failure: Exception) -> Response:
    """FastAPI reads the body before it asks who calls, so that is asked first here too."""
    assert isinstance(failure, RequestValidationError)
    if problem := await nameless(request):
        return await on_problem(request, problem)
    if request.scope["state"].get("body") and "json" not in request.headers.get("content-type", ""):
        return await on_problem(request, UnsupportedMediaType())
    return await on_problem(request, invalid(failure.errors()))


async def on_http_exception(request: Request, failure: Exception) -> Response:
    """What Starlette itself refuses, for some of it before anyone asked who calls."""
    assert isinstance(failure, HTTPException)
    if problem := await nameless(request):
        return await on_problem(request, problem)
    if failure.status_code == 405:
        return await on_problem(request, MethodNotAllowed(methods_of(request)))
    if failure.status_code == 404:
        return await on_problem(request, NotFound("No such path. /openapi.json lists those there are."))
    return await on_problem(request, InvalidInput("The request cannot be read."))


async def nameless(request: Request) -> Problem | None:
    """What is wrong with the caller's key, if that was not looked at yet."""
    if "caller" not in request.scope["state"]:
        try:
            auth.caller_of(request.headers, await get_resources(request), request.scope)
        except Problem as problem:
            return problem
    return None


@cache
def default_app() -> FastAPI:
    """The application that `uvicorn app.main:app` serves."""
    return create_app()


def __getattr__(name: str) -> FastAPI:
    if name == "app":
        return default_app()
    raise AttributeError(name)
