"""YAML as strangers and tired people write it: whatever is wrong is said by its place, and costs little."""

import contextlib
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.grids import marked
from commonhold.grids.marked import MAX_FILE, Bad, Entries, Items, Node, Scalar, Wrong, parse
from tests.examples import examples


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers: the second is what is there where PyYAML was built without libyaml."""
    monkeypatch.setattr(marked, "_LOADER", getattr(yaml, request.param))


def plain(node: Node) -> object:
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return [(plain(key), plain(value)) for key, value in node.entries] if isinstance(node, Entries) else node.why


def wrong(data: bytes) -> str:
    with pytest.raises(Wrong) as error:
        parse("f", data)
    return str(error.value.problem)


@pytest.mark.usefixtures("either")
def test_nodes_know_where_they_stand() -> None:
    text = 'a: "é\U0001f600" # c\nb:\n  - x\n  - y # d\nc: {d: [e], f: g}\n'
    found = parse("f", text.encode())
    assert plain(found) == [("a", "é\U0001f600"), ("b", ["x", "y"]), ("c", [("d", ["e"]), ("f", "g")])]
    (_, a), (_, b), (_, c) = found.entries
    assert [str(node.place) for node in (a, b, c)] == ["f:1:4", "f:3:3", "f:5:4"]
    assert [text[node.start : node.end] for node in (a, b, c)] == ['"é\U0001f600"', "- x\n  - y", "{d: [e], f: g}"]


@pytest.mark.usefixtures("either")
def test_a_file_of_comments_says_nothing() -> None:
    assert parse("f", b"").entries == parse("f", b"# only\n\n").entries == ()


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: 1\nb: c: d\n", "f:2:5: not YAML"),
        (b"a: [1\n", "f:2:1: not YAML"),
        (b"\tb: 1\n", "f:1:1: not YAML"),
        (b"- a\n", "f:1:1: not a map of clauses"),
        (b"text\n", "f:1:1: not a map of clauses"),
        (b"&a {b: c}\n", "f:1:1: an anchor"),
        (b"!!python/object:os.system {a: b}\n", "f:1:1: a tag"),
        (b"a: 1\n---\nb: 2\n", "f:2:1: a second document"),
        (b"a: 1\nb: \xff\n", "f:2:4: not UTF-8"),
        (b"a: 1\n b\x00: 2\n", "f:2:3: the character U+0000"),
        ("a: 1 # \u202e\n".encode(), "f:1:8: the character U+202E"),
        ("a: 1\n\u2028b: 1\n".encode(), "f:2:1: the character U+2028"),
        ("\ufeffa: 1\n".encode(), "f:1:1: the character U+FEFF"),
        (b"a: 1\rb: 2\n", "f:1:5: the character U+000D"),
        (b"a: " + b"[" * 100 + b"]" * 100 + b"\n", "f:1:67: more than 64 levels"),
        (b"a" * (MAX_FILE + 1), "f:1:1: over 4 MiB"),
    ],
)
def test_what_is_no_map_is_refused_by_its_place(data: bytes, said: str) -> None:
    assert wrong(data).startswith(said)


@pytest.mark.usefixtures("either")
def test_what_is_wrong_within_a_node_stays_within() -> None:
    data = b"a: &x 1\nb: *x\nc: !!int 7\nd: " + b"[" * 20 + b"]" * 20 + b"\n? [k]\n: v\ne: f\n"
    found = dict(zip("abcd", [value for _, value in parse("f", data).entries], strict=False))
    assert [plain(found[name]) for name in "abc"] == [
        "an anchor: nothing can refer to it", "an alias: write it out", "a tag: types are known from the fields",
    ]  # fmt: skip
    last = parse("f", data).entries[-1]
    assert plain(last[0]) == "e" and plain(last[1]) == "f"
    node: Node = found["d"]
    for _ in range(8):
        assert isinstance(node, Items)
        node = node.items[0] if node.items else node
    assert isinstance(node, Bad) and node.why == "more than 8 levels" and node.end > node.start


@pytest.mark.usefixtures("either")
def test_aliases_multiply_nothing() -> None:
    lines = ["n0: &n0 [x, x]"]
    lines += [f"n{n}: &n{n} [{', '.join([f'*n{n - 1}'] * 9)}]" for n in range(1, 20)]
    bomb = "\n".join(lines)
    start = time.process_time()
    assert all(isinstance(value, Bad) for _, value in parse("f", bomb.encode()).entries)
    assert time.process_time() - start < 1


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize(
    "unit", ["[", "{", "- ", "? ", "[[],", "{a: {", "'", "&a ", "*a ", "!", "|\n", "#", "a: ", "\n"]
)
def test_a_file_that_begins_and_never_ends_is_no_work(unit: str) -> None:
    data = (unit * (1 << 16)).encode()[: 1 << 16]
    start = time.process_time()
    with contextlib.suppress(Wrong):
        parse("f", data)
    assert time.process_time() - start < 5


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(deadline=None, max_examples=examples(300))
def test_whatever_comes_it_is_nodes_or_wrong(data: bytes) -> None:
    try:
        found = parse("f", data)
    except Wrong as error:
        assert error.problem.place.line >= 1
    else:
        assert isinstance(found, Entries)


def test_every_character_that_can_be_printed_is_taken() -> None:
    every = "".join(char for char in map(chr, range(0x110000)) if char.isprintable() and char not in '"\\')
    for start in range(0, len(every), 1000):
        text = every[start : start + 1000]
        ((_, value),) = parse("f", f'a: "{text}"\n'.encode()).entries
        assert isinstance(value, Scalar) and value.text == text
