"""A route, called as the plain function it is: no HTTP, no second authentication, the same checks."""

import difflib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext
from pydantic import BaseModel, ValidationError

from app.effects import Effect
from app.errors import InvalidInput, invalid

Given = Mapping[Callable[..., Any], Any]


@dataclass(frozen=True)
class Argument:
    """One parameter of a route: a value of its own, or a model whose fields stand beside the others."""

    name: str
    field: ModelField
    model: type[BaseModel] | None
    fields: Mapping[str, bool]

    @classmethod
    def of(cls, field: ModelField) -> "Argument":
        shape = field.field_info.annotation
        if inspect.isclass(shape) and issubclass(shape, BaseModel):
            fields = {info.alias or name: info.is_required() for name, info in shape.model_fields.items()}
            return cls(field.name, field, shape, fields)
        return cls(field.name, field, None, {field.alias: field.field_info.is_required()})

    def take(self, arguments: Mapping[str, Any], mistakes: list[Mapping[str, Any]]) -> Any:
        """Its value out of the flat list, checked; what is wrong is added to the mistakes."""
        if self.model is not None:
            given = {name: arguments[name] for name in self.fields if name in arguments}
            try:
                return self.model.model_validate(given)
            except ValidationError as error:
                mistakes.extend(error.errors(include_url=False, include_input=False))
                return None
        (name,) = self.fields
        if name not in arguments:
            if self.fields[name]:
                mistakes.append({"loc": (name,), "msg": "Field required"})
            return self.field.get_default()
        value, errors = self.field.validate(arguments[name], {}, loc=(name,))
        mistakes.extend(cast("list[Mapping[str, Any]]", errors or []))
        return value


@dataclass(frozen=True)
class Operation:
    """What a route does and how to call it."""

    name: str
    route: RouteContext
    effect: Effect
    arguments: tuple[Argument, ...]

    @classmethod
    def of(cls, route: RouteContext) -> "Operation":
        dependant: Dependant = route.dependant
        fields = [*dependant.path_params, *dependant.query_params, *dependant.body_params]
        effect: Effect = extra_of(route)["x-effect"]
        return cls(str(route.name), route, effect, tuple(Argument.of(field) for field in fields))

    async def call(self, values: Mapping[str, Any], given: Given) -> Any:
        """Resolve what the route asks for beside the bound arguments, and call it."""
        async with AsyncExitStack() as stack:
            needed = await resolve(self.route.dependant, dict(given), stack)
            return await self.function(**values, **needed)

    @property
    def toolset(self) -> str:
        """The group it is chosen by: declared, or its tag."""
        tag: str = self.route.tags[0]
        return extra_of(self.route).get("x-toolset") or tag.lower().replace(" ", "_")

    @property
    def waits(self) -> bool:
        """Whether a caller can wait for its end."""
        return any("wait_seconds" in argument.fields for argument in self.arguments)

    @property
    def unlisted(self) -> bool:
        """Whether the list of all tools leaves it out."""
        return bool(extra_of(self.route).get("x-unlisted"))

    def target(self, arguments: Mapping[str, Any]) -> str:
        """The value that names what a call changes: its last path parameter, else its first required argument."""
        in_path = [parameter.alias for parameter in self.route.dependant.path_params]
        required = [name for argument in self.arguments for name, needed in argument.fields.items() if needed]
        return str(arguments.get((in_path or required or [""])[-1 if in_path else 0], self.name))

    @property
    def function(self) -> Callable[..., Awaitable[Any]]:
        return cast("Callable[..., Awaitable[Any]]", self.route.endpoint)

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The route's parameters out of a tool's flat arguments."""
        allowed = [name for argument in self.arguments for name in argument.fields]
        mistakes: list[Mapping[str, Any]] = [
            {"loc": (name,), "msg": unknown(name, allowed)} for name in arguments if name not in allowed
        ]
        values = {argument.name: argument.take(arguments, mistakes) for argument in self.arguments}
        if mistakes:
            raise self.explained(invalid(mistakes))
        return values

    def explained(self, problem: InvalidInput) -> InvalidInput:
        """The problem with the list of arguments there are."""
        required = [name for argument in self.arguments for name, needed in argument.fields.items() if needed]
        optional = [name for argument in self.arguments for name, needed in argument.fields.items() if not needed]
        takes = f" {self.name} takes {', '.join(required) or 'nothing required'}"
        takes += f"; optional: {', '.join(optional)}." if optional else "."
        return InvalidInput(problem.detail + takes, problem.errors)


def extra_of(route: RouteContext) -> dict[str, Any]:
    """What a route declares beyond OpenAPI."""
    return route.openapi_extra or {}


def unknown(name: str, allowed: list[str]) -> str:
    """What to say of an argument that does not exist."""
    near = difflib.get_close_matches(name, allowed, n=1)
    return "Unknown argument" + (f", did you mean {near[0]}?" if near else "")


async def resolve(dependant: Dependant, known: dict[Callable[..., Any], Any], stack: AsyncExitStack) -> dict[str, Any]:
    """What a function asks for by Depends, each made once; what is given already is not made again."""
    values: dict[str, Any] = {}
    for wanted in dependant.dependencies:
        if wanted.name is None:  # a guard of the router; this call has passed its own
            continue
        make = cast("Callable[..., Any]", wanted.call)
        if make not in known:
            needs = await resolve(wanted, known, stack)
            if inspect.isasyncgenfunction(make):
                manager = asynccontextmanager(cast("Callable[..., AsyncGenerator[Any, None]]", make))(**needs)
                known[make] = await stack.enter_async_context(manager)
            else:
                known[make] = await make(**needs)
        values[wanted.name] = known[make]
    return values
