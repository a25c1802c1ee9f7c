"""Named fields: each has a type and limits, and what nobody asks for is passed over."""

from collections.abc import Callable
from typing import Any

import pytest

from commonhold.formats import dagcbor
from commonhold.formats.fields import MAX_FIELDS, MAX_NUMBER, Fields, made
from commonhold.formats.malformed import Malformed

RIGHT: list[tuple[Callable[[Fields], Any], Any]] = [
    (lambda f: f.number("x"), 0),
    (lambda f: f.number("x"), MAX_NUMBER),
    (lambda f: f.number("x", 5), 5),
    (lambda f: f.text("x", 3), "abc"),
    (lambda f: list(f.texts("x", 2, 3)), ["abc", "d"]),
    (lambda f: f.exactly("x", 2, bytes), b"ab"),
    (lambda f: f.raw("x", 2), b"ab"),
    (lambda f: f.raw("x", 2), b""),
    (lambda f: list(f.several("x", 2, 1)), [b"a", b""]),
    (lambda f: list(f.numbers("x", 3)), [3, 0, 0]),
    (lambda f: list(f.ascending("x", 3)), [0, 1, 7]),
    (lambda f: list(f.ascending("x", 3)), []),
]

WRONG: list[tuple[Callable[[Fields], Any], list[Any]]] = [
    (lambda f: f.number("x", 5), [6, -1, True, False, 1.0, "1", b"1", None, [1], MAX_NUMBER + 1]),
    (lambda f: f.text("x", 3), ["", "abcd", "a\n", "\x00", "\u202e", b"a", 1, None, ["a"]]),
    (lambda f: f.texts("x", 2, 3), [["a", "a"], ["a", "b", "c"], ["abcd"], [""], "ab", {"a": "b"}, [b"a"], None]),
    (lambda f: f.exactly("x", 2, bytes), [b"a", b"abc", "ab", 2, None, [b"ab"]]),
    (lambda f: f.raw("x", 2), [b"abc", "ab", None, 0, [b"a"]]),
    (lambda f: f.several("x", 2, 1), [[b"a", b"", b""], [b"ab"], ["a"], [None], b"a", None]),
    (lambda f: f.numbers("x", 2), [[1, 2, 3], [-1], [True], [1.0], ["1"], [MAX_NUMBER + 1], 1, None]),
    (lambda f: f.ascending("x", 3), [[1, 1], [2, 1], [1, 2, 2], [1, 2, 3, 4], 5]),
]


@pytest.mark.parametrize(("ask", "value"), RIGHT)
def test_what_is_within_its_limits_comes_back(ask: Callable[[Fields], Any], value: Any) -> None:
    fields = Fields("test", made(x=value, other=1, left_out=None))
    assert ask(fields) == value
    assert fields.has("x") and fields.has("other") and not fields.has("left_out")


@pytest.mark.parametrize(("ask", "values"), WRONG)
def test_what_is_beyond_its_limits_or_missing_is_refused(ask: Callable[[Fields], Any], values: list[Any]) -> None:
    for value in values:
        with pytest.raises(Malformed):
            ask(Fields("test", dagcbor.encode({"x": value})))
    with pytest.raises(Malformed):
        ask(Fields("test", dagcbor.encode({"y": 1})))


def test_a_map_has_so_many_fields_and_no_more() -> None:
    most = {str(number): number for number in range(MAX_FIELDS)}
    assert Fields("test", dagcbor.encode(most)).number("7") == 7
    for raw in (dagcbor.encode({**most, "more": 1}), dagcbor.encode([1]), dagcbor.encode(1), b"", b"\xa1"):
        with pytest.raises(Malformed):
            Fields("test", raw)
