"""`dev.py docs` and `dev.py collections FOLDER`."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.site.application import described
from tests.site.collections import write

PROJECT = Path(__file__).resolve().parents[2]
SITE = PROJECT / ".dev" / "site"
LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
CANONICAL = re.compile(r"""<link\b[^>]*rel=["']?(?:canonical|next|prev)[^>]*>""")


def build(folder: Path) -> int:
    """The site, strictly; every page shows without a network."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    # Material prints a notice about its own future on each build.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(PROJECT)}
    if code := subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode:
        return code
    pages = sorted(folder.rglob("*.html"))
    for line in (strangers := [f"{page.relative_to(folder)} loads {url}" for page in pages for url in loaded(page)]):
        print(line, file=sys.stderr)
    print(f"{len(pages)} pages in {folder}")
    return 1 if strangers or not pages else 0


def loaded(page: Path) -> list[str]:
    """What a page would fetch from elsewhere."""
    return LOADED.findall(CANONICAL.sub("", page.read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__)
    verbs = parser.add_subparsers(required=True, dest="verb")
    verbs.add_parser("docs").add_argument("folder", type=Path, nargs="?", default=SITE)
    verbs.add_parser("collections").add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.verb == "docs":
        return build(options.folder.resolve())
    written = write(described(), options.folder.resolve())
    print(f"{len(written)} files in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
