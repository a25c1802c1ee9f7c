"""Principals as text: one way to write each name, and nothing that is another's by mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats.malformed import Malformed
from commonhold.identity.principal import (
    MAX_NAME,
    MAX_PRINCIPAL,
    MAX_REALM,
    NOBODY,
    Parts,
    check_realm,
    name_in,
    named,
    parse,
    split,
)  # fmt: skip


@given(st.binary(min_size=1, max_size=MAX_NAME // 3))
def test_any_name_is_a_principal_and_comes_back(name: bytes) -> None:
    principal = named(name, "family")
    assert principal is not None and parse(principal) == principal and len(principal) <= MAX_PRINCIPAL
    assert name_in(principal, "family") == name
    assert name_in(principal, "office") is None


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_two_names_are_two_principals(one: bytes, other: bytes) -> None:
    assert one == other or named(one, "family") != named(other, "family") or named(one, "family") is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"alice", "alice@family"),
        (b"Build-Bot_2.x+y$", "Build-Bot_2.x+y$@family"),
        ("jürgen".encode(), "j%C3%BCrgen@family"),
        (b"\xff", "%FF@family"),
        (b"DOM\\alice smith", "DOM%5Calice%20smith@family"),
        (b"a@b", "a%40b@family"),
        (b"sid:5", "sid%3A5@family"),
        (b"..", "%2E.@family"),
        (b"-rf", "%2Drf@family"),
        (b"a\n", "a%0A@family"),
    ],
)
def test_what_is_not_plain_is_escaped(name: bytes, text: str) -> None:
    assert named(name, "family") == text


def test_a_name_that_is_empty_or_too_long_is_nobodys() -> None:
    assert named(b"", "family") is None
    assert named(b"a" * MAX_NAME, "family") is not None and named(b"a" * (MAX_NAME + 1), "family") is None
    assert named(b"\xff" * (MAX_NAME // 3 + 1), "family") is None


def test_who_is_known_in_another_way_is_kept_and_has_no_name_here() -> None:
    principal = parse("sid:S-1-5-21-1004336348-500@office.example")
    assert split(principal) == Parts("sid", "S-1-5-21-1004336348-500", "office.example")
    assert name_in(principal, "office.example") is None


def test_nobody_has_no_realm_and_no_name() -> None:
    assert parse("nobody") == NOBODY and name_in(NOBODY, "family") is None
    assert parse("nobody@family") != NOBODY


@pytest.mark.parametrize(
    "text",
    [
        "", "alice", "@", "@family", "alice@", "alice@family@office", "alice @family", "alice@family\n",
        "alice\n@family", "-a@family", ".a@family", "$a@family",
        "a/b@family", "jürgen@family", "a\0@family", "a:b:c@family", ":a@family",
        "SID:1@family", "1id:1@family", "sid:@family", "abcdefghijklmnopq:1@family",
        "a%@family", "a%4@family", "a%c3@family", "a%41@family", "%61@family", "%2D%2D@family", "a%2E@family",
        "٣@family",
        "a@Family", "a@-x", "a@x-", "a@.", "a@fam_ily", "a@" + "x" * (MAX_REALM + 1), "a" * (MAX_NAME + 1) + "@family",
        "a@\xe4",
    ],
)  # fmt: skip
def test_what_is_written_in_another_way_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


def test_what_just_fits_is_taken() -> None:
    assert parse("a" * MAX_NAME + "@" + "x" * MAX_REALM)
    assert parse("a-@f") and parse("%2D-@f") and parse("abcdefghijklmnop:1@f")


@given(st.text(alphabet="a1%2DF.-@:é", max_size=12))
def test_what_is_taken_has_one_form(text: str) -> None:
    try:
        _scheme, name, realm = split(parse(text))
    except Malformed:
        return
    assert check_realm(realm) == realm
    raw = name_in(parse(f"{name}@{realm}"), realm)
    assert raw is not None and named(raw, realm) == f"{name}@{realm}"
