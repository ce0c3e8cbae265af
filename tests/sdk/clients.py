"""How each client is generated, checked and tried."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from pydantic import SecretBytes, SecretStr

from app.main import create_app
from app.settings import Settings
from tests.service import Service
from tests.tools import MissingError, ToolError, node_modules, path_with, program, python_of, run

HERE = Path(__file__).parent
CALLERS = HERE / "callers"
TYPESCRIPT = HERE / "typescript"
PACKAGE = "xyte_gateway_client"
NAMES = {"project_name_override": "xyte-gateway-client", "package_name_override": PACKAGE}

Try = Callable[[Service], str]
"""Five calls with a client that is ready; what it said."""


def build(folder: Path, service: Callable[[], AbstractContextManager[Service]]) -> Mapping[str, str | MissingError]:
    """Write the clients into a folder and try them; what each said, or why there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    document = folder / "openapi.json"
    document.write_text(json.dumps(openapi(), indent=1) + "\n")
    with tempfile.TemporaryDirectory(prefix="xyte-sdk-") as scratch, ThreadPoolExecutor(len(MAKERS)) as pool:
        made = {
            name: pool.submit(maker, document, folder / name, Path(scratch, name)) for name, maker in MAKERS.items()
        }
        with service() as running:
            return {name: tried(future, running) for name, future in made.items()}


def openapi() -> dict[str, object]:
    """The document, as the application makes it; nothing is connected."""
    settings = Settings(
        database_url="postgresql://nobody@localhost/none",
        redis_url="redis://localhost",
        key_pepper=SecretStr("for the document only, nothing is stored"),
        sealing_keys=(SecretBytes(b"for the document only, 32 bytes."),),
        public_url="",
    )
    return create_app(settings).openapi()


def tried(made: Future[Try], service: Service) -> str | MissingError:
    try:
        return made.result()(service)
    except MissingError as error:
        return error


def make_python(document: Path, target: Path, scratch: Path) -> Try:
    """With openapi-python-client; a warning of it is a failure."""
    python = python_of("sdk", HERE / "requirements.txt")
    scratch.mkdir()
    names = scratch / "names.json"
    names.write_text(json.dumps(NAMES))
    words: list[str | Path] = [python.with_name("openapi-python-client"), "generate", "--path", document]
    words += ["--output-path", target, "--config", names, "--meta", "uv", "--fail-on-warning", "--overwrite"]
    run(words, folder=scratch, environment={"PATH": path_with(python.parent)})
    shutil.copy(CALLERS / "calls.py", scratch)
    check = {
        "include": [str(target / PACKAGE), "calls.py"],
        # its own file: it hands what leaves a `with` on as objects
        "ignore": [str(target / PACKAGE / "client.py")],
        "extraPaths": [str(target)],
        "typeCheckingMode": "standard",
        "pythonVersion": "3.11",
    }
    (scratch / "pyrightconfig.json").write_text(json.dumps(check))
    run([sys.executable, "-m", "basedpyright", "--project", scratch, "--pythonpath", python], folder=scratch)
    return partial(call_python, python, target, scratch)


def call_python(python: Path, target: Path, scratch: Path, service: Service) -> str:
    words = [python, "-W", "error", "calls.py", service.url, service.key]
    return run(words, folder=scratch, environment={"PYTHONPATH": str(target)}).strip()


def make_typescript(document: Path, target: Path, scratch: Path) -> Try:
    """With openapi-typescript, for openapi-fetch."""
    modules = node_modules("sdk", TYPESCRIPT / "package-lock.json")
    target.mkdir(exist_ok=True)
    for file in TYPESCRIPT.iterdir():
        shutil.copy(file, target)
    shutil.copy(document, target)
    words: list[str | Path] = [modules / ".bin" / "openapi-typescript", document, "-o", target / "schema.ts"]
    # what has a default need not be sent
    said = run([*words, "--default-non-nullable=false"], folder=target)
    if "warn" in said.lower():
        raise ToolError(said)
    shutil.copytree(target, scratch)
    shutil.copy(CALLERS / "calls.ts", scratch)
    (scratch / "node_modules").symlink_to(modules)
    run([modules / ".bin" / "tsc"], folder=scratch)
    return partial(call_typescript, scratch)


def call_typescript(scratch: Path, service: Service) -> str:
    return run([program("node"), "dist/calls.js", service.url, service.key], folder=scratch).strip()


MAKERS: Mapping[str, Callable[[Path, Path, Path], Try]] = {"python": make_python, "typescript": make_typescript}
