"""What the tools cost a model to read."""

import bpe_openai
import pytest
from fastapi import FastAPI

from app.mcp.guidance import INSTRUCTIONS_LIMIT, instructions_for
from app.mcp.selection import Catalogue, Selection, size_of

ENCODING = bpe_openai.get_encoding("o200k_base")


@pytest.fixture
def catalogue(app: FastAPI) -> Catalogue:
    """All tools there are."""
    return app.state.catalogue


def test_the_default_list_is_small(catalogue: Catalogue) -> None:
    tools = catalogue.offer(Selection()).tools

    text = "".join(tool.model_dump_json(by_alias=True, exclude_none=True) for tool in tools)
    assert len(tools) <= 25
    assert size_of(tools) <= 24_000
    assert len(ENCODING.encode(text)) <= 6_000


def test_the_whole_list_is_bearable(catalogue: Catalogue) -> None:
    assert size_of(catalogue.tools[name] for name in catalogue.groups["all"]) <= 60_000


def test_no_tool_is_long(catalogue: Catalogue) -> None:
    too_long = {name: size_of([tool]) for name, tool in catalogue.tools.items() if size_of([tool]) > 1_500}

    assert too_long == {}


def test_instructions_are_short_for_every_toolset(catalogue: Catalogue) -> None:
    for toolset in ("all", "default", *catalogue.toolsets):
        offer = catalogue.offer(Selection(toolsets=(toolset,)))

        assert len(instructions_for(offer)) <= INSTRUCTIONS_LIMIT


def test_every_tool_says_all_that_clients_ask_for(catalogue: Catalogue) -> None:
    for name, tool in catalogue.tools.items():
        hints = tool.annotations
        assert hints is not None, name
        assert None not in (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        assert hints.read_only_hint == (catalogue.operations[name].effect == "read")
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema is not None
        assert 0 < len(tool.description or "") <= 300


def test_the_order_is_the_same_each_time(catalogue: Catalogue) -> None:
    assert list(catalogue.tools) == sorted(catalogue.tools)
    assert [tool.name for tool in catalogue.offer(Selection(toolsets=("all",))).tools] == list(catalogue.groups["all"])
