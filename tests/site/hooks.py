"""What MkDocs calls: adds the generated pages and the collections to those in docs/."""

import io
import json
import zipfile

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from tests.site.application import described
from tests.site.collections import bruno, postman
from tests.site.reference import pages
from tests.supply.inventory import bill, packages

NO_TIME = (1980, 1, 1, 0, 0, 0)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Before the pages are read."""
    application = described()
    generated: dict[str, str | bytes] = dict(pages(application))
    generated["files/openapi.json"] = json.dumps(application.document, indent=1) + "\n"
    generated["files/xyte.postman_collection.json"] = json.dumps(postman(application), indent=2) + "\n"
    generated["files/xyte.bruno.zip"] = packed(bruno(application))
    generated["files/sbom.cdx.json"] = bill(packages())
    for path, content in generated.items():
        files.append(File.generated(config, path, content=content))
    return files


def packed(texts: dict[str, str]) -> bytes:
    """Files in an archive that is the same each time."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for path, text in texts.items():
            written.writestr(zipfile.ZipInfo(path, NO_TIME), text)
    return archive.getvalue()
