"""A clause is changed where it stands: comments and everything else stay. REQUIREMENTS D23."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.formats.hint import Hint
from commonhold.grids import editing, reading
from commonhold.grids.marked import Wrong
from tests.authority.parties import pin
from tests.examples import examples
from tests.grids.made import LAN, LOOP, TCP, TOR, announced, cache_bytes, filled, text64

ATTIC, CELLAR = pin("attic"), pin("cellar")


def changed(text: str, *hints: Hint, direct: bool = False, name: str = "attic") -> str:
    """The override as people see it, with names in the place of pins."""
    after = editing.changed(filled(text), ATTIC, name, hints or None, direct).decode()
    return after.replace(str(ATTIC), "{attic}").replace(str(CELLAR), "{cellar}")


def test_d23_the_first_override_of_all_makes_the_file() -> None:
    after = changed("", LAN)
    assert after.endswith(f'version: 1\n\n{{attic}}: # attic\n  local:\n    hints: ["{LAN}"]\n')
    assert after.startswith("# How servers are reached")


def test_d23_a_new_clause_goes_to_the_end_and_nothing_else_moves() -> None:
    before = "# mine\nversion: 1\n{cellar}: # old one\n  local: {use: false} # till May"
    assert changed(before, LAN, TOR, name="") == (before + f'\n\n{{attic}}:\n  local:\n    hints: ["{LAN}", "{TOR}"]\n')


# ruff: noqa: E501
EDITS = [
    (
        "{attic}:\n  local:\n    hints: [tcp:a.example:1] # was\n    name: mine # ours\n",
        f'{{attic}}:\n  local:\n    hints: ["{LAN}"] # was\n    name: mine # ours\n',
    ),
    (
        "{attic}:\n  local:\n    # at home\n    hints:\n      # first\n      - tcp:a.example:1 # one\n      - tcp:b.example:2 # two\n\n{cellar}: {}\n",
        f'{{attic}}:\n  local:\n    # at home\n    # first\n    # one\n    hints: ["{LAN}"] # two\n\n{{cellar}}: {{}}\n',
    ),
    (
        "{attic}:\n  local:\n    hints:\n    - tcp:a.example:1\n    use: false\n",
        f'{{attic}}:\n  local:\n    hints: ["{LAN}"]\n    use: false\n',
    ),
    (
        "{attic}:\n    local:\n        use: true\n{cellar}: {}\n",
        f'{{attic}}:\n    local:\n        hints: ["{LAN}"]\n        use: true\n{{cellar}}: {{}}\n',
    ),
    ("{attic}: {local: {name: x}}\n", f'{{attic}}: {{local: {{hints: ["{LAN}"], name: x}}}}\n'),
    ("{attic}: {local: {}} # c\n", f'{{attic}}: {{local: {{hints: ["{LAN}"]}}}} # c\n'),
    ("{attic}: {}\n", f'{{attic}}: {{local: {{hints: ["{LAN}"]}}}}\n'),
    (
        "{attic}:\n  local: {hints: [tcp:a.example:1, tcp:b.example:2], direct: true}\n",
        f'{{attic}}:\n  local: {{hints: ["{LAN}"], direct: false}}\n',
    ),
    (
        "{attic}: # c\n  announcement: {addresses: [tcp:a.example:1]}\n",
        f'{{attic}}: # c\n  local:\n    hints: ["{LAN}"]\n  announcement: {{addresses: [tcp:a.example:1]}}\n',
    ),
    (
        "'{attic}':\n  'local':\n    'hints': ['tcp:a.example:1']\n",
        f"'{{attic}}':\n  'local':\n    'hints': [\"{LAN}\"]\n",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), EDITS)
def test_d23_a_clause_is_changed_where_it_stands(before: str, after: str) -> None:
    assert changed(before, LAN) == after
    assert changed(after, LAN) == after


def test_d23_lines_that_end_as_elsewhere_go_on_doing_so() -> None:
    before = "# mine\r\n{attic}:\r\n  local: {use: true}\r\n"
    with pytest.raises(Wrong, match="two ways"):
        changed(before + "# one more\n", LAN)
    assert changed(before, LAN) == f'# mine\r\n{{attic}}:\r\n  local: {{hints: ["{LAN}"], use: true}}\r\n'


def test_d11_direct_is_said_each_time_and_never_left_over() -> None:
    once = changed("", LAN, direct=True)
    assert "    direct: true\n" in once
    assert "    direct: false\n" in changed(once, TCP)  # a new address is not what that was said of
    assert changed(once, direct=True) == once
    with pytest.raises(Wrong, match="names no address"):
        changed("{attic}:\n  local: {name: x}\n", direct=True)


def test_a_clause_that_is_wrong_is_mended_first() -> None:
    with pytest.raises(Wrong, match="mend it first") as error:
        changed("{attic}:\n  local: {hint: []}\n", LAN)
    assert error.value.problem.place.line == 2
    with pytest.raises(Wrong, match="mend it first"):
        changed("{cellar}: [\n", LAN)
    with pytest.raises(Wrong, match="mend it first"):
        changed("version: 9\n", LAN)


def test_another_clause_that_is_wrong_is_in_nobodys_way() -> None:
    before = "{cellar}:\n  local: {hint: []} # mend me\nnonsense: 1\n"
    assert changed(before, LAN).startswith(before)


@pytest.mark.parametrize(
    "before",
    [
        "{{cellar}: {}}\n",  # all in braces: nothing can be put at the end
        "{cellar}: {}\n...\n",
        "? {attic}\n: local: {name: x}\n",
        "{attic}: {local: # c\n  {name: x}}\n",
    ],
)
def test_what_is_written_in_another_way_is_left_to_its_owner_or_comes_out_right(before: str) -> None:
    try:
        after = changed(before, LAN)
    except Wrong as error:
        assert "by hand" in error.why or "not YAML" in error.why or "mend it" in error.why
    else:
        local = reading.override(filled(after)).clauses[ATTIC].local
        assert local.hints and local.hints.value == (LAN,)


def test_clear_takes_the_clause_and_nothing_else() -> None:
    text = "# mine\n{cellar}: {} # c\n\n# about the attic\n{attic}: # d\n  local:\n    # e\n    hints:\n      - tcp:a.example:1 # f\n# g\n{barn}: {}\n"
    after = editing.cleared(filled(text), ATTIC)
    assert after == filled("# mine\n{cellar}: {} # c\n\n# about the attic\n# g\n{barn}: {}\n")
    assert editing.cleared(filled("{cellar}: {}\n{attic}: {}"), ATTIC) == filled("{cellar}: {}\n")
    assert editing.cleared(filled("{attic}: {}\n"), ATTIC) == b""


def test_clear_takes_a_clause_that_is_wrong_and_one_that_stands_twice() -> None:
    text = "{attic}:\n  local: &x {hint: [*x]}\n{cellar}: {}\n{attic}:\n"
    assert editing.cleared(filled(text), ATTIC) == filled("{cellar}: {}\n")
    assert editing.named(filled(text)) == (ATTIC, CELLAR, ATTIC)


def test_clear_cuts_nothing_out_of_braces() -> None:
    with pytest.raises(Wrong, match="by hand"):
        editing.cleared(filled("{{attic}: {}, {cellar}: {}}\n"), ATTIC)


names = ("{attic}", "{cellar}", "{barn}")
comment = st.sampled_from(["", " # one", " # 'two", ' # "three', " # {four: [", " # a: b"])
addresses = st.lists(st.sampled_from((TCP, LAN, TOR, LOOP)), min_size=1, max_size=3, unique=True)


@st.composite
def locals_(draw: st.DrawFn, indent: str) -> str:
    """The fields of `local`, in one of the ways in which people write them."""
    hints = [str(one) for one in draw(addresses)]
    fields = [
        ("use", draw(st.sampled_from(["true", "false"]))),
        ("name", draw(st.sampled_from(["x", "'#y'", '"z: 1"']))),
    ]
    fields = draw(st.permutations([*fields[: draw(st.integers(0, 2))], ("hints", ""), ("direct", "true")]))
    if draw(st.booleans()):
        flow = ", ".join(f"{key}: {value or '[' + ', '.join(hints) + ']'}" for key, value in fields)
        return f" {{{flow}}}{draw(comment)}\n"
    text = f"{draw(comment)}\n"
    for key, value in fields:
        if value:
            text += f"{indent}{key}: {value}{draw(comment)}\n"
        elif draw(st.booleans()):
            text += f"{indent}hints: [{', '.join(hints)}]{draw(comment)}\n"
        else:
            text += f"{indent}hints:{draw(comment)}\n"
            deeper = draw(st.sampled_from(["", "  "]))
            text += "".join(f"{indent}{deeper}- {one}{draw(comment)}\n" for one in hints)
        if draw(st.booleans()):
            text += f"{indent}{draw(comment).strip()}".rstrip() + "\n"
    return text


@st.composite
def overrides(draw: st.DrawFn) -> str:
    """A file of several clauses."""
    text = draw(st.sampled_from(["", "# head\n", "version: 1 # v\n", "\n"]))
    for name in draw(st.permutations(names))[: draw(st.integers(0, 3))]:
        text += f"{name}:{draw(comment)}\n  local:{draw(locals_('    '))}"
        text += draw(st.sampled_from(["", "\n", "# between\n", f"  announcement: {{addresses: [{TCP}]}}\n"]))
    return text


@given(overrides(), addresses, st.booleans())
@settings(deadline=None, max_examples=examples(400))
def test_d23_whatever_a_file_looks_like_the_clause_alone_is_changed(text: str, hints: list[Hint], direct: bool) -> None:
    data = filled(text)
    before = reading.override(data)
    assert not before.problems
    after = editing.changed(data, ATTIC, "attic", tuple(hints), direct)
    found = reading.override(after)
    assert not found.problems
    local = found.clauses[ATTIC].local
    assert local.hints and local.hints.value == tuple(hints)
    assert (local.direct.value if local.direct else False) is direct
    was = before.clauses.get(ATTIC)
    assert (local.use and local.use.value) == (was.local.use.value if was and was.local.use else None)
    assert (local.name and local.name.value) == (was.local.name.value if was and was.local.name else None)
    left = data.decode().splitlines()
    for line in [line.strip() for line in left if "#" in line and "'#y'" not in line]:
        assert line[line.index(" #") + 1 if " #" in line else 0 :] in after.decode()
    gone = editing.cleared(after, ATTIC)
    assert set(reading.override(gone).clauses) == set(before.clauses) - {ATTIC}


def test_an_edited_copy_keeps_its_announcement() -> None:
    data = cache_bytes("a", announced("attic"))
    after = editing.changed(data, ATTIC, "attic", (LAN,), False)
    assert text64(announced("attic")) in after.decode()
    clause = reading.override(after).clauses[ATTIC]
    assert clause.local.hints and clause.local.hints.value == (LAN,) and clause.copies[0].said
