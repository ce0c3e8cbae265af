"""Stands for the migration of presets until that is merged; to be dropped then."""

from collections.abc import Sequence

revision: str = "20261122_presets"
down_revision: str | None = "20261122_tasks"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Nothing."""


def downgrade() -> None:
    """Nothing."""
