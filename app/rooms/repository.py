"""All reads and writes of a tenant's own kinds."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.rooms.kinds import Rule
from app.rooms.models import KindRule


async def rules_of(db: AsyncSession, tenant: str) -> list[Rule]:
    """In the order in which they are asked."""
    rows = await db.scalars(select(KindRule).where(KindRule.tenant == tenant).order_by(KindRule.place))
    return [Rule.model_validate({"kind": row.kind, "field": row.field, "words": row.words}) for row in rows]


async def replace_rules(db: AsyncSession, tenant: str, rules: Sequence[Rule]) -> None:
    await db.execute(delete(KindRule).where(KindRule.tenant == tenant))
    if rules:
        rows = [{"tenant": tenant, "place": place, **rule.model_dump()} for place, rule in enumerate(rules)]
        await db.execute(insert(KindRule), rows)
