"""What a tenant adds to the table of device kinds."""

from sqlalchemy import CheckConstraint, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Table


class KindRule(Table):
    """Devices in which these words occur are of this kind; the lower its place, the sooner a rule is asked."""

    __tablename__ = "kind_rules"
    __table_args__ = (CheckConstraint("field IN ('model', 'type', 'name')", name="kind_rules_field_exists"),)

    tenant: Mapped[str] = mapped_column(Text, primary_key=True)
    place: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(Text)
    field: Mapped[str] = mapped_column(Text)
    words: Mapped[str] = mapped_column(Text)
