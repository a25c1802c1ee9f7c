"""Each requirement of parts B and D is named by a test, in its own name or in a docstring; or is said not to be.

REQUIREMENTS is not part of this repository. Where it lies beside it, the table here is held against it.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
REQUIREMENTS = TESTS.parent.parent / "shared/REQUIREMENTS.md"

# Those marked M.
MUST = {f"B{number}" for number in (*range(1, 33), 34)} | {
    f"D{number}" for number in (*range(1, 16), *range(17, 21), *range(22, 25))
}

# Which no test shows, and why.
NOT_YET: dict[str, str] = {}

_NAMED = re.compile(r"(?:\b|_)([bBdD][0-9]{1,2})(?:\b|_)")


def _said(path: Path) -> Iterator[str]:
    """The names and docstrings of a file's tests, and its own docstring."""
    tree = ast.parse(path.read_text())
    yield ast.get_docstring(tree) or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from (node.name, ast.get_docstring(node) or "")


def _named() -> set[str]:
    return {
        found.upper()
        for path in TESTS.rglob("test_*.py")
        if path != Path(__file__)
        for text in _said(path)
        for found in _NAMED.findall(text.replace("_", "__"))
    }


def test_each_requirement_of_b_and_d_is_named_by_a_test_or_known_not_to_be() -> None:
    named = _named()
    assert sorted(MUST - named - set(NOT_YET)) == [], "name it where it is tested, or say here why it is not"
    assert sorted(named & set(NOT_YET)) == [], "a test names it: take it off the list"
    assert set(NOT_YET) <= MUST


def test_the_table_is_that_of_the_requirements() -> None:

    if not REQUIREMENTS.exists():
        pytest.skip("the requirements are not here")
    rows = re.findall(r"^\| ([BD][0-9]+) \|[^|]*\| (\w)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert {name for name, level in rows if level == "M"} == MUST
