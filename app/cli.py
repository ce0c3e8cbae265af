"""The `xyte-mcp` command."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from app import probe

CLIENT_NAMES = (
    "claude-code",
    "claude-desktop",
    "cursor",
    "vscode",
    "codex",
    "gemini",
    "windsurf",
    "zed",
    "mcp-remote",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; what is wrong with the settings is one clear line each."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except ValidationError as error:
        for mistake in error.errors(include_url=False, include_input=False):
            name = ".".join(str(part) for part in mistake["loc"]).upper() or "values"
            print(f"xyte-mcp: setting {name}: {mistake['msg']}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    command = argparse.ArgumentParser(prog="xyte-mcp", description="The Xyte gateway: REST and MCP.")
    verbs = command.add_subparsers(required=True, metavar="VERB")

    up = verbs.add_parser("up", help="everything on this machine: PostgreSQL, Valkey, simulator, worker, API")
    up.add_argument("--port", type=port, default=8000, help="of the API (default 8000)")
    up.add_argument("--data", type=Path, default=None, help="directory for the data (default .dev/data)")
    up.add_argument("--fresh", action="store_true", help="start with no data")
    up.set_defaults(run=run_up)

    serve = verbs.add_parser("serve", help="the API")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=port, default=8000, help="port to listen on (default 8000)")
    serve.set_defaults(run=run_serve)

    worker = verbs.add_parser("worker", help="the worker for long commands")
    worker.set_defaults(run=run_worker)

    migrate = verbs.add_parser("migrate", help="bring the database to this version")
    migrate.add_argument("revision", nargs="?", default="head", help="revision to go to (default head)")
    migrate.set_defaults(run=run_migrate)

    simulator = verbs.add_parser("simulator", help="a pretend Xyte cloud")
    simulator.add_argument("--host", default=None, help="address to listen on (default SIMULATOR_HOST)")
    simulator.add_argument("--port", type=port, default=None, help="port to listen on (default SIMULATOR_PORT)")
    simulator.set_defaults(run=run_simulator)

    stdio = verbs.add_parser("stdio", help="the tools on standard input and output, with the key in XYTE_API_KEY")
    stdio.add_argument("--toolsets", default="", help="toolsets to offer, such as devices,tickets")
    stdio.add_argument("--tools", default="", help="single tools to offer, such as list_devices,get_device")
    stdio.add_argument("--exclude-tools", default="", help="tools to leave out")
    stdio.add_argument("--read-only", action="store_true", help="offer only tools that change nothing")
    stdio.add_argument(
        "--embedded", action="store_true", help="with a PostgreSQL, a Valkey and a worker for long commands"
    )
    stdio.add_argument("--data", type=Path, default=None, help="where embedded servers keep their data")
    stdio.set_defaults(run=run_stdio)

    connect = verbs.add_parser("connect", help="a configuration for a client, printed or written into its file")
    connect.add_argument("client", choices=CLIENT_NAMES, metavar="CLIENT", help=", ".join(CLIENT_NAMES))
    connect.add_argument("--url", default="", help="of a gateway, such as https://gateway.example.com/mcp; else stdio")
    connect.add_argument("--name", default="xyte", help="of the server in the client (default xyte)")
    connect.add_argument("--toolsets", default="", help="toolsets to offer, such as devices,tickets")
    connect.add_argument("--read-only", action="store_true", help="offer only tools that change nothing")
    connect.add_argument("--embedded", action="store_true", help="stdio with servers for long commands")
    connect.add_argument("--write", action="store_true", help="merge it into the client's file, with a backup")
    connect.add_argument("--file", type=Path, default=None, help="another file than the client's usual one")
    connect.set_defaults(run=run_connect)

    doctor = verbs.add_parser("doctor", help="look at key, cloud, PostgreSQL, Redis, clock and versions")
    doctor.add_argument("--json", action="store_true", help="the findings as JSON")
    doctor.add_argument(
        "--quick",
        nargs="?",
        const=probe.HEALTHZ,
        metavar="URL",
        help=f"only ask a process on this machine, for a health check (default {probe.HEALTHZ})",
    )
    doctor.set_defaults(run=run_doctor)
    return command


def port(text: str) -> int:
    """A TCP port."""
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError("a port is between 1 and 65535")
    return number


def run_up(options: argparse.Namespace) -> int:
    """Everything on this machine."""
    from app import stack

    return stack.up(options.port, options.data, fresh=options.fresh)


def run_serve(options: argparse.Namespace) -> int:
    """The API on uvicorn, with its fast loop and parser."""
    import uvicorn

    from app.main import announce_end, create_app
    from app.serving import ENDING_S, Server

    app = create_app()
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=ENDING_S,
        timeout_keep_alive=75,
    )
    server = Server(config, lambda: announce_end(app), app.state.settings.drain_s)
    try:
        server.run()
    except KeyboardInterrupt:
        return 130
    return 0 if server.started else 3


def run_worker(_options: argparse.Namespace) -> int:
    """The arq worker."""
    from app import worker

    worker.run()
    return 0


def run_migrate(options: argparse.Namespace) -> int:
    """Alembic, from wherever the package lies."""
    from alembic import command
    from alembic.config import Config

    root = Path(__file__).resolve().parent.parent
    config = Config(str(root / "alembic.ini"))
    config.set_main_option("script_location", str(root / "migrations"))
    command.upgrade(config, options.revision)
    return 0


def run_simulator(options: argparse.Namespace) -> int:
    """The simulator alone."""
    from app.simulator import Settings, serve

    given = {name: getattr(options, name) for name in ("host", "port") if getattr(options, name) is not None}
    serve(Settings(**given))
    return 0


def run_stdio(options: argparse.Namespace) -> int:
    """The MCP endpoint for one client that started us."""
    from app import stdio

    return stdio.serve(
        stdio.Options(
            toolsets=options.toolsets,
            tools=options.tools,
            exclude_tools=options.exclude_tools,
            read_only=options.read_only,
            embedded=options.embedded,
            data=options.data,
        )
    )


def run_connect(options: argparse.Namespace) -> int:
    """A client's configuration."""
    from app import connect

    wish = connect.Wish(
        url=options.url,
        name=options.name,
        toolsets=options.toolsets,
        read_only=options.read_only,
        embedded=options.embedded,
        program=connect.our_program(),
    )
    return connect.run(options.client, wish, write=options.write, file=options.file)


def run_doctor(options: argparse.Namespace) -> int:
    """Everything, or the one question of a health check."""
    if options.quick:
        return probe.ask(options.quick)
    from app import doctor

    return doctor.run(as_json=options.json)


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
