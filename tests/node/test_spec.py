"""The page about the node names every call and every field there is, and no other."""

import asyncio
import re
from dataclasses import fields
from pathlib import Path

from commonhold.node.config import Config, Limits
from tests.node.serving import running

PAGE = (Path(__file__).parents[2] / "docs/spec/node.md").read_text()


def test_every_call_is_on_the_page_and_every_one_on_the_page_is_a_call(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        found: set[tuple[str, str]] = set()

        async def look() -> None:
            await asyncio.sleep(0)
            for route in node.service.app().router.routes():
                assert route.resource is not None
                found.add((route.method, route.resource.canonical))

        node.do(look())
    written = set(re.findall(r"^\| `(GET|POST|PUT|DELETE) (/[^`]+)` \|", PAGE, re.MULTILINE))
    assert {call for call in found if call[0] != "HEAD"} == written


def test_every_field_of_the_config_is_on_the_page_with_its_default() -> None:
    written = dict(re.findall(r"^\| `([a-z_.]+)` \|.*\| ?([^|]*?) ?\|$", PAGE.split("## The config")[1], re.MULTILINE))
    known = [one.name for one in fields(Config) if one.name != "limits"]
    assert set(written) == {*known, *(f"limits.{one.name}" for one in fields(Limits))}
    for one in fields(Limits):
        assert float(written[f"limits.{one.name}"]) == one.default
