"""OpenTelemetry traces where a collector is configured: in from the caller, out to Xyte, and through the queue.

A span tells what was done, how long it took and how it ended; no key, no body and no id.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings

W3C = TraceContextTextMapPropagator()
CARRIED = ("traceparent", "tracestate")
UNSEEN = frozenset({"/healthz", "/readyz", "/metrics"})


class Tracing:
    """Makes this process's spans."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, kind: SpanKind, parent: Mapping[str, str] | None = None) -> Generator[Span]:
        """A span under the one that W3C headers name, or under the current one. An exception's text stays out of it."""
        context = None if parent is None else W3C.extract(parent)
        with self._tracer.start_as_current_span(
            name, context, kind, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as failure:
                failed(span, type(failure).__name__)
                raise

    def traceparent(self) -> str | None:
        """What continues the current trace elsewhere."""
        carrier: dict[str, str] = {}
        W3C.inject(carrier)
        return carrier.get("traceparent")


@asynccontextmanager
async def open_tracing(settings: Settings, service: str) -> AsyncGenerator[Tracing | None]:
    """Spans that go to the collector; nothing where none is configured. What it says by the way stays with the SDK."""
    if not settings.otel_exporter_otlp_endpoint:
        yield None
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", service)
    # Not the global provider: the MCP SDK would put the ids of requests into it.
    provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{settings.otel_exporter_otlp_endpoint}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Tracing(provider.get_tracer("xyte-gateway"))
    finally:
        await asyncio.to_thread(provider.shutdown)


class Traces:
    """A span for each request, under its caller's. Only there where traces are configured."""

    def __init__(
        self, app: ASGIApp, meta_in: Callable[[Scope], Mapping[str, Any]], name_of: Callable[[Scope], str]
    ) -> None:
        self._app = app
        self._meta_in = meta_in
        self._name_of = name_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracing: Tracing | None = scope["app"].state.resources.tracing if scope["type"] == "http" else None
        if tracing is None or scope["path"] in UNSEEN:
            await self._app(scope, receive, send)
            return
        with tracing.span(scope["method"], SpanKind.SERVER, self._parent(scope)) as span:
            scope["state"]["trace_id"] = f"{span.get_span_context().trace_id:032x}"

            async def seen(message: Message) -> None:
                if message["type"] == "http.response.start":
                    told(span, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, seen)
            finally:
                span.update_name(self._name_of(scope))
                span.set_attributes({"http.request.method": scope["method"], **spoken(scope)})

    def _parent(self, scope: Scope) -> dict[str, str]:
        """The message's own context, else the request's."""
        meta = self._meta_in(scope)
        carrier = {name: meta[name] for name in CARRIED if isinstance(meta.get(name), str)}
        if "traceparent" in carrier:
            return carrier
        headers = Headers(scope=scope)
        return {name: headers[name] for name in CARRIED if name in headers}


class TracedTransport(httpx.AsyncBaseTransport):
    """A span for each request to Xyte that serves a traced one, and its context in the request's headers."""

    def __init__(self, inner: httpx.AsyncBaseTransport, tracing: Tracing) -> None:
        self._inner = inner
        self._tracing = tracing

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not trace.get_current_span().get_span_context().is_valid:
            return await self._inner.handle_async_request(request)
        with self._tracing.span(f"{request.method} {resource_of(request.url)}", SpanKind.CLIENT) as span:
            span.set_attributes({"http.request.method": request.method, "server.address": request.url.host})
            W3C.inject(request.headers)
            response = await self._inner.handle_async_request(request)
            told(span, response.status_code, failing=400)
            return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def resource_of(url: httpx.URL) -> str:
    """Scope and resource, which are the parts of a path before the first id."""
    _, _, *parts = url.path.split("/")
    return "/".join(parts[1:3]) if parts[:1] == ["v1"] and len(parts) > 2 else "device"


def spoken(scope: Scope) -> dict[str, str]:
    """How it ended in the words of our log."""
    outcome = scope["state"].get("outcome")
    return {"xyte.outcome": outcome} if outcome else {}


def told(span: Span, status: int, failing: int = 500) -> None:
    """What the answer's status says."""
    span.set_attribute("http.response.status_code", status)
    if status >= failing:
        failed(span, str(status))


def failed(span: Span, kind: str) -> None:
    """It went wrong; of what kind it was is all that is told."""
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
