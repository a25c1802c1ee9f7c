"""Access control lists: the kernel's form, a tree's form, and modes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import acl
from commonhold.formats.acl import Acl
from commonhold.formats.malformed import Malformed
from tests import vectors

BITS = st.integers(0, 7)
NAMED = st.dictionaries(st.integers(0, 0xFFFFFFFE), BITS, max_size=5).map(lambda found: tuple(sorted(found.items())))
LISTS = st.builds(
    lambda owner, users, group, groups, mask, other: Acl(
        owner, users, group, groups, mask if mask is not None or not (users or groups) else 0, other
    ),
    BITS, NAMED, BITS, NAMED, st.none() | BITS, BITS,
)  # fmt: skip


@pytest.mark.parametrize("case", vectors.cases("acl"), ids=lambda case: case["text"])
def test_known_lists(case: dict[str, str]) -> None:
    """As setfacl(1) has set them, and the kernel kept them."""
    found = acl.from_kernel(bytes.fromhex(case["hex"]))
    assert acl.to_kernel(found) == bytes.fromhex(case["hex"])
    told = acl.text(acl.translated(found, str, str))
    assert told.decode() == case["text"].replace(",", "\n") + "\n"
    assert acl.parse(told) == acl.translated(found, str, str)
    assert f"{acl.bits_of(found):o}" == case["mode"]


@given(LISTS)
def test_a_list_survives_both_forms(found: Acl[int]) -> None:
    assert acl.from_kernel(acl.to_kernel(found)) == found
    named = acl.translated(found, lambda who: f"scheme:{who}@home", lambda who: f"{who}@home")
    assert acl.parse(acl.text(named)) == named


@given(LISTS, st.integers(0, 0o777))
def test_a_mode_that_is_given_is_the_mode_there_is(found: Acl[int], bits: int) -> None:
    assert acl.bits_of(acl.with_bits(found, bits)) == bits
    assert acl.with_bits(found, acl.bits_of(found)) == found
    assert acl.bits_of(acl.inherited(found, bits)) == acl.bits_of(found) & bits
    assert acl.inherited(found, bits).users == found.users


@given(st.binary(max_size=100))
def test_whatever_a_program_sets_is_a_list_or_is_refused(data: bytes) -> None:
    for read in (acl.from_kernel, acl.parse):
        try:
            read(data)
        except Malformed:
            continue


WRONG = """
user::rwx|
user::rwx|group::rwx|other::rw|
user::rwx|group::rwx|other::xwr|
group::rwx|user::rwx|other::rwx|
user::rwx|user:a:rwx|group::rwx|other::rwx|
user::rwx|user:a:rwx|user:a:r--|group::rwx|mask::rwx|other::rwx|
user::rwx|group::rwx|other::rwx|other::rwx|
user::rwx|group::rwx|other:a:rwx|
user::rwx|group::rwx|mask:a:rwx|other::rwx|
user::rwx||group::rwx|other::rwx|
user::rwx|group::rwx|other::rwx||
user::rwxx|group::rwx|other::rwx|
"""


@pytest.mark.parametrize("line", ["", "|", "user::rwx", *WRONG.split()])
def test_what_is_no_list_of_a_tree_is_refused(line: str) -> None:
    with pytest.raises(Malformed):
        acl.parse(line.replace("|", "\n").encode())


def test_bytes_that_are_no_text_are_no_list() -> None:
    with pytest.raises(Malformed):
        acl.parse(b"user::rwx\nuser:\xff:rwx\ngroup::rwx\nmask::rwx\nother::rwx\n")


def test_there_are_so_many_names_and_no_more() -> None:
    most = Acl(7, tuple((uid, 7) for uid in range(acl.MAX_NAMED)), 7, (), 7, 7)
    assert acl.from_kernel(acl.to_kernel(most)) == most and len(acl.to_kernel(most)) <= 4096
    with pytest.raises(Malformed):
        acl.from_kernel(acl.to_kernel(most._replace(groups=((1, 7),))))


def test_whoever_has_no_name_is_left_out() -> None:
    found = Acl(7, ((1, 6), (2, 4)), 5, ((3, 2),), 7, 0)
    assert acl.translated(found, {1: "one"}.get, lambda _: None) == Acl(7, (("one", 6),), 5, (), 7, 0)
