"""What the service says of itself: log lines in JSON and metrics, without keys, bodies or Xyte ids."""

import logging
import sys
from datetime import UTC, datetime

import orjson
from prometheus_client import Counter, Gauge, Histogram
from prometheus_fastapi_instrumentator import metrics
from starlette.requests import Request

TOOL_INVOCATIONS = Counter("mcp_tool_invocations_total", "Tool calls.", ["tool", "era"])
TOOL_ERRORS = Counter("mcp_tool_errors_total", "Tool calls that ended in an error.", ["tool", "error"])
TOOL_SECONDS = Histogram(
    "mcp_tool_duration_seconds", "Time of a tool call.", ["tool"], buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60)
)
UPSTREAM_REQUESTS = Counter("xyte_upstream_requests_total", "Calls to the Xyte cloud.", ["scope", "method", "outcome"])
UPSTREAM_SECONDS = Histogram(
    "xyte_upstream_duration_seconds", "Time of a call to the Xyte cloud.", ["scope"], buckets=(0.05, 0.1, 0.5, 1, 5, 15)
)
HTTP = (
    metrics.requests(),  # pyright: ignore[reportUnknownMemberType]  a part that is not used
    metrics.latency(  # pyright: ignore[reportUnknownMemberType]  the same
        metric_doc="Time until a request's answer began.",
        should_include_status=False,
        buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15),
    ),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
"""Those of HTTP; others share a label."""
REQUESTS_IN_PROGRESS = Gauge("http_requests_inprogress", "Requests being answered.")
LIMITER_REFUSALS = Counter("xyte_limiter_refusals_total", "Requests refused for coming too often.", ["limit"])
LIMITER_DEGRADED = Gauge("xyte_limiter_degraded", "1 while Redis is away and each process limits for itself.")
BREAKER_OPEN = Gauge("xyte_breaker_open", "1 while calls to the Xyte cloud are suspended.")
TASKS = Gauge("xyte_tasks", "Unfinished tasks.", ["state"])
TASKS_OLDEST_SECONDS = Gauge("xyte_tasks_oldest_seconds", "Age of the oldest unfinished task.", ["state"])
TASK_OUTCOMES = Counter("xyte_task_outcomes_total", "Tasks that ended.", ["state"])
for ending in ("done", "error", "cancelled", "expired", "outcome_unknown"):
    TASK_OUTCOMES.labels(ending)  # a counter that starts with its first event hides that event from increase()
QUEUE_SECONDS = Histogram(
    "xyte_task_queue_seconds",
    "From a task's record to its first sending.",
    buckets=(0.01, 0.05, 0.1, 0.25, 1, 5, 30, 300),
)
EVENTS_STORED = Counter("xyte_events_stored_total", "Events that reached the log.", ["source"])
for source in ("task", "preset", "watch", "xyte", "webhook"):
    EVENTS_STORED.labels(source)
EVENTS_LAG_SECONDS = Gauge("xyte_events_lag_seconds", "Age of the oldest task event that waited for its log.")
EVENT_READERS = Gauge("xyte_event_readers", "Streams and waiting calls that follow events.")
EVENT_WATCHES = Gauge("xyte_event_watches", "Tenants that this process watches at the cloud.")
EVENT_LOOKS = Counter("xyte_event_looks_total", "Looks at the cloud for listeners.", ["outcome"])
for look in ("seen", "failed", "overtaken"):
    EVENT_LOOKS.labels(look)
WEBHOOKS = Counter("xyte_webhooks_total", "Webhooks that came in.", ["outcome"])
for outcome in ("stored", "duplicate", "refused", "unavailable", "failed"):
    WEBHOOKS.labels(outcome)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def count_request(request: Request, handler: str, status: int, seconds: float) -> None:
    """One request over HTTP. The instrumentator's own middleware would look for the route a second time."""
    method = request.method if request.method in METHODS else "other"
    info = metrics.Info(request, None, method, handler, str(status), seconds)
    for count in HTTP:
        if count:  # the library gives none where a metric of that name is there already
            count(info)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the caller passed as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure_logging(level: str) -> None:
    """Send every logger's lines to standard error as JSON; libraries speak up from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # nobody reads them, each line pays
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("app").setLevel(level)
