"""From a method and a raw path to a handler: a tree of path segments, fixed ones before parameters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import unquote

from app.simulator.calls import Call

Scope: TypeAlias = Literal["organization", "partner", "device", "none", "admin"]
Handler: TypeAlias = Callable[[Call], object]
Decorated = TypeVar("Decorated", bound=Handler)


@dataclass(slots=True, frozen=True)
class Route:
    """One endpoint."""

    scope: Scope
    method: str
    template: str
    status: int
    handler: Handler

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(segment[1:-1] for segment in self.template.split("/") if segment.startswith("{"))


class Routes:
    """The endpoints of one module, collected by decorating its functions."""

    def __init__(self, scope: Scope, prefix: str) -> None:
        self.scope: Scope = scope
        self.prefix = prefix
        self.entries: list[Route] = []

    def add(
        self, method: str, path: str = "", status: int = 200, scope: Scope | None = None
    ) -> Callable[[Decorated], Decorated]:
        """This function answers this method on this path, with this status when all is well."""

        def register(handler: Decorated) -> Decorated:
            self.entries.append(Route(scope or self.scope, method, self.prefix + path, status, handler))
            return handler

        return register


@dataclass(slots=True)
class Node:
    """A place in the tree."""

    fixed: "dict[str, Node]" = field(default_factory=dict[str, "Node"])
    variable: "Node | None" = None
    routes: dict[str, Route] = field(default_factory=dict[str, Route])
    names: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


class RouteTree:
    """All endpoints, found by walking their segments."""

    def __init__(self, collections: tuple[Routes, ...]) -> None:
        self._root = Node()
        for routes in collections:
            for route in routes.entries:
                self._insert(route)

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """The endpoint of this request and the values in its path."""
        values: list[str] = []
        found = _walk(self._root, method, [unquote(segment) for segment in raw_path.split("/")], 0, values)
        return None if found is None else (found.routes[method], dict(zip(found.names[method], values, strict=True)))

    def _insert(self, route: Route) -> None:
        node = self._root
        for segment in route.template.split("/"):
            if segment.startswith("{"):
                node.variable = node.variable or Node()
                node = node.variable
            else:
                node = node.fixed.setdefault(segment, Node())
        node.routes[route.method] = route
        node.names[route.method] = route.names


def _walk(node: Node, method: str, segments: list[str], index: int, values: list[str]) -> Node | None:
    if index == len(segments):
        return node if method in node.routes else None
    segment = segments[index]
    if (fixed := node.fixed.get(segment)) and (found := _walk(fixed, method, segments, index + 1, values)):
        return found
    if node.variable is None or not segment:
        return None
    values.append(segment)
    if found := _walk(node.variable, method, segments, index + 1, values):
        return found
    values.pop()
    return None
