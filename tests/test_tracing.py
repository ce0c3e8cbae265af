"""Traces: whose they continue, where they go on, and what is not in them."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import respx
from fastapi import FastAPI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import ValidationError

from app import settings as settings_module
from app.main import create_app
from app.resources import Resources, open_resources
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS
from app.tasks.dispatcher import Dispatcher
from app.tracing import Traces
from tests.world import Simulator

KEY = ORGANIZATION_KEYS[0]
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=value"}


@dataclass
class Collector:
    """What a collector was sent."""

    url: str = ""
    sent: list[bytes] = field(default_factory=list[bytes])

    def spans(self) -> list[tuple[str, Span]]:
        """Every span with the service it is from."""
        found: list[tuple[str, Span]] = []
        for body in self.sent:
            for part in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = next(
                    pair.value.string_value for pair in part.resource.attributes if pair.key == "service.name"
                )
                found += [(service, span) for scope in part.scope_spans for span in scope.spans]
        return found

    def the(self, name: str) -> Span:
        """The one span of this name."""
        (span,) = [span for _, span in self.spans() if span.name == name]
        return span


@pytest.fixture
def collector() -> Generator[Collector]:
    """A collector on this machine."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            found.sent.append(body if "gzip" not in self.headers.get("content-encoding", "") else b"")
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *words: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


class Gateway:
    """An application with traces, and what Xyte got from it."""

    def __init__(self, app: FastAPI, cloud: respx.MockRouter) -> None:
        self.app = app
        self._cloud = cloud

    def sent(self, path: str) -> Sequence[httpx.Headers]:
        """The headers of requests to Xyte that end so."""
        requests: list[httpx.Request] = [call.request for call in self._cloud.calls]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return [request.headers for request in requests if request.url.path.endswith(path)]

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"X-XYTE-API-KEY": KEY} | more.pop("headers", {})
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            return await client.request(method, path, **more)

    async def call(self, tool: str, meta: dict[str, Any] | None = None, **arguments: Any) -> Any:
        parameters = {"name": tool, "arguments": arguments} | ({"_meta": meta} if meta else {})
        message = {"jsonrpc": "2.0", "id": 4711, "method": "tools/call", "params": parameters}
        return (await self.ask("POST", "/mcp", json=message)).json()


@pytest.fixture(scope="module")
async def traced_app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application as it is when traces are wanted; where they go is each test's own affair."""
    application = create_app(settings.model_copy(update={"otel_exporter_otlp_endpoint": "http://collector.test"}))
    ready, done = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        async with application.state.mcp.running():
            ready.set()
            await done.wait()

    running = asyncio.create_task(run())
    await ready.wait()
    yield application
    done.set()
    await running


@pytest.fixture
async def gateway(
    settings: Settings, collector: Collector, cloud: respx.MockRouter, resources: Resources, traced_app: FastAPI
) -> AsyncIterator[Gateway]:
    """It ends with the test's words; the spans are at the collector then."""
    traced = settings.model_copy(update={"otel_exporter_otlp_endpoint": collector.url})
    async with open_resources(traced, transport=httpx.MockTransport(cloud.async_handler)) as opened:
        traced_app.state.resources = opened
        yield Gateway(traced_app, cloud)
    async with resources.engine.connect():
        pass  # so that it clears away what was recorded here


async def flushed(gateway: Gateway) -> None:
    """Let the spans reach the collector."""
    provider: Any = gateway.app.state.resources.tracing._tracer
    assert provider.span_processor.force_flush()


async def test_a_request_continues_its_callers_trace_and_xyte_gets_it(gateway: Gateway, collector: Collector) -> None:
    await gateway.ask("GET", "/v1/devices", headers=PARENT)
    await flushed(gateway)

    served, asked = collector.the("GET /v1/devices"), collector.the("GET organization/devices")
    (headers,) = gateway.sent("/devices")
    assert (served.trace_id.hex(), served.parent_span_id.hex()) == (TRACE, "b7ad6b7169203331")
    assert (asked.trace_id.hex(), asked.parent_span_id) == (TRACE, served.span_id)
    assert headers["traceparent"] == f"00-{TRACE}-{asked.span_id.hex()}-01"
    assert headers["tracestate"] == "vendor=value"
    assert "baggage" not in headers


@pytest.mark.parametrize("lane", ["plain", "through the SDK"])
async def test_a_tool_call_continues_the_trace_in_its_meta(gateway: Gateway, collector: Collector, lane: str) -> None:
    unusual = {"com.example/unusual": 1} if lane == "through the SDK" else {}

    answer = await gateway.call("list_devices", PARENT | unusual)
    await flushed(gateway)

    assert not answer["result"].get("isError")
    served, asked = collector.the("tools/call list_devices"), collector.the("GET organization/devices")
    assert (served.trace_id.hex(), served.parent_span_id.hex()) == (TRACE, "b7ad6b7169203331")
    assert asked.parent_span_id == served.span_id


async def test_the_messages_context_goes_before_the_headers(gateway: Gateway, collector: Collector) -> None:
    other = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": PARENT}}

    await gateway.ask("POST", "/mcp", json=message, headers=other)
    await flushed(gateway)

    assert [span.trace_id.hex() for _, span in collector.spans()] == [TRACE]


@pytest.mark.parametrize("given", ["", "nonsense", f"00-{TRACE}-0000000000000000-01", "ÿ"])
async def test_what_is_no_context_begins_a_trace(gateway: Gateway, collector: Collector, given: str) -> None:
    answer = await gateway.call("list_devices", {"traceparent": given, "tracestate": 5})
    await flushed(gateway)

    assert not answer["result"].get("isError")
    assert not collector.the("tools/call list_devices").parent_span_id


@pytest.mark.parametrize("body", [b"[]", b'{"params": 5}', b'{"params": {"_meta": []}}', b"no json"])
async def test_a_body_that_is_no_message_is_answered_as_ever(gateway: Gateway, body: bytes) -> None:
    answer = await gateway.ask("POST", "/mcp", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400


async def test_a_callers_wish_not_to_be_recorded_holds(gateway: Gateway, collector: Collector) -> None:
    await gateway.ask("GET", "/v1/devices", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"})
    await flushed(gateway)

    assert not collector.spans()
    assert gateway.sent("/devices")[0]["traceparent"].startswith(f"00-{TRACE}-")


async def test_a_task_goes_on_with_the_trace_of_the_request_that_submitted_it(
    gateway: Gateway, collector: Collector, settings: Settings, cloud: respx.MockRouter, simulator: Simulator
) -> None:
    devices = (await gateway.ask("GET", "/v1/devices", params={"per_page": 1})).json()["items"]
    body = {"device_id": devices[0]["id"], "name": "power_on"}
    submitted = await gateway.ask("POST", "/v1/tasks", json=body, headers=PARENT)
    await flushed(gateway)
    traced = settings.model_copy(update={"otel_exporter_otlp_endpoint": collector.url})
    transport = httpx.MockTransport(cloud.async_handler)
    async with open_resources(traced, transport=transport, for_worker=True) as opened:
        dispatcher = Dispatcher(opened)
        await dispatcher.take_on()
        await dispatcher.settled()

    sent, posted = collector.the("send command"), collector.the("POST organization/devices")
    assert submitted.status_code == 202
    assert (sent.trace_id.hex(), sent.parent_span_id) == (TRACE, collector.the("POST /v1/tasks").span_id)
    assert posted.parent_span_id == sent.span_id
    assert gateway.sent("/commands")[-1]["traceparent"] == f"00-{TRACE}-{posted.span_id.hex()}-01"
    assert {service for service, span in collector.spans() if span.name == "send command"} == {"xyte-worker"}


async def test_no_span_holds_a_key_a_body_or_an_id(
    gateway: Gateway, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    device = (await gateway.ask("GET", "/v1/devices", params={"per_page": 1})).json()["items"][0]
    await gateway.ask("GET", f"/v1/devices/{device['id']}")
    await gateway.ask("GET", "/v1/devices/some-unknown-device")
    await gateway.ask("GET", f"/nowhere/{KEY}")
    await gateway.call("get_device", device_id=device["id"])
    await gateway.call("a_tool_called_" + KEY, device_id=device["id"])
    await gateway.ask("POST", "/v1/tasks", json={"device_id": device["id"], "name": "power_on"})
    await flushed(gateway)

    text = "\n".join(str(span) for _, span in collector.spans())
    assert "get_device" in text
    for secret in (KEY, device["id"], device["name"], "some-unknown-device", "power_on", "4711"):
        assert secret not in text, secret


async def test_a_failure_is_an_error_of_its_kind_without_its_words(
    gateway: Gateway, collector: Collector, cloud: respx.MockRouter
) -> None:
    cloud.routes.clear()
    cloud.route().mock(side_effect=httpx.ReadError("words of the connection"))

    await gateway.ask("POST", "/v1/tickets/t1/resolve")
    await gateway.call("get_device", device_id="d1")
    await flushed(gateway)

    spans = [span for _, span in collector.spans()]
    assert any(span.status.code == span.status.STATUS_CODE_ERROR for span in spans)
    assert "xyte_unreachable" in str(spans)
    assert "words of the connection" not in str(spans)


async def test_the_log_names_the_trace(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await gateway.ask("GET", "/v1/devices", headers=PARENT)

    (line,) = [vars(record) for record in caplog.records if record.name == "app.access"]
    assert line["trace_id"] == TRACE


async def test_health_is_not_traced(gateway: Gateway, collector: Collector) -> None:
    await gateway.ask("GET", "/healthz")
    await flushed(gateway)

    assert not collector.spans()


async def test_without_a_collector_nothing_is_added(
    app: FastAPI, client: httpx.AsyncClient, resources: Resources
) -> None:
    await client.get("/v1/devices", headers=PARENT)

    assert resources.tracing is None
    assert not any(middleware.cls is Traces for middleware in app.user_middleware)


async def test_whatever_else_a_process_is_told_to_trace_the_path_of_a_request_is_in_no_span(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(made))
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)

    await client.get(f"/v1/devices/{KEY}", params={"space_id": KEY})
    provider.shutdown()

    assert not made.get_finished_spans()


async def test_without_a_collector_a_traced_tool_call_takes_the_short_way(client: httpx.AsyncClient) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    message |= {"params": {"name": "list_devices", "arguments": {}, "_meta": PARENT}}

    answer = await client.post("/mcp", json=message)

    assert not answer.json()["result"].get("isError")


def test_traces_without_their_packages_are_a_clear_refusal(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_module: str) -> bool:
        return False

    monkeypatch.setattr(settings_module, "importable", missing)

    with pytest.raises(ValidationError, match=r"xyte-gateway\[traces\]"):
        Settings.model_validate(settings.model_dump() | {"otel_exporter_otlp_endpoint": "http://127.0.0.1:4318/"})


def test_a_module_of_a_package_that_is_not_there_is_not_there() -> None:
    assert not settings_module.importable("no_such_package.no_such_module")
    assert settings_module.importable("opentelemetry.trace")
