"""What a person sees: the landing page and Swagger UI, with every file served from here."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

from app.errors import NotFound

router = APIRouter(include_in_schema=False)

SWAGGER = Path(str(files("fastapi_offline").joinpath("static")))
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
LANDING = files("app").joinpath("landing.html").read_text()


@router.get("/")
async def landing(request: Request) -> HTMLResponse:
    """What this is and how to connect."""
    settings = request.app.state.settings
    url = settings.public_url or str(request.base_url).rstrip("/")
    catalogue = request.app.state.catalogue
    rows = "".join(
        f"<tr><td><code>{name}</code><td>{cost.tools}<td>{cost.tokens:,}" for name, cost in catalogue.costs.items()
    )
    page = LANDING.replace("{{url}}", url).replace(
        "{{version}}", f"{request.app.version}, tools {catalogue.digest[:12]}"
    )
    return HTMLResponse(page.replace("{{toolsets}}", rows))


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Swagger UI over /openapi.json."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Xyte gateway",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"persistAuthorization": False, "displayRequestDuration": True, "filter": True},
    )


@router.get("/docs/{name}")
async def docs_asset(name: str) -> FileResponse:
    """A file of Swagger UI."""
    if name not in ASSETS:
        raise NotFound("No such file.")
    return FileResponse(SWAGGER / name, media_type=ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})
