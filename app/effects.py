"""What an operation does to the world, declared once on its route and shown as `x-effect` in OpenAPI.

`read` changes nothing; `write` can be undone or is harmless; `physical` makes equipment act; `access` changes who
can get in, or creates credentials; `destructive` removes something. Tool hints, read-only mode and confirmation
follow from it.
"""

from typing import Any, Literal

Effect = Literal["read", "write", "physical", "access", "destructive"]

READ: dict[str, Any] = {"x-effect": "read"}
WRITE: dict[str, Any] = {"x-effect": "write"}
PHYSICAL: dict[str, Any] = {"x-effect": "physical"}
ACCESS: dict[str, Any] = {"x-effect": "access"}
DESTRUCTIVE: dict[str, Any] = {"x-effect": "destructive"}

DEVICE: dict[str, Any] = {"x-toolset": "device"}
"""Beside the effect of a device's own operations, which MCP offers only when asked for by name."""

UNLISTED: dict[str, Any] = {"x-unlisted": True}
"""Beside the effect of what is rarely needed: its tool is listed with its toolset or by name, not among all tools;
run_operation reaches it."""

NOT_A_TOOL: dict[str, Any] = {"x-tool": False}
"""Beside the effect of an operation that has no end, such as a stream, which a tool cannot give."""
