"""A virtual environment for each contender that cannot live in ours, from pinned and hashed requirements."""

import sys
from pathlib import Path

from tests import tools

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def python_of(name: str) -> Path:
    """The interpreter of a contender: ours, or its own, made on first use and again when its requirements change."""
    requirements = HERE / f"requirements-{name}.txt"
    return tools.python_of(f"bench-{name}", requirements) if requirements.exists() else Path(sys.executable)
