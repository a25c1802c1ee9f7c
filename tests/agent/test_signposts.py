"""Names in a mount: links to what records in force say, for as long as those say."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import libipld
import pytest

from commonhold.agent import signposts
from commonhold.agent.frozen import DIRECTORY
from commonhold.agent.keystore import Key, Keystore
from commonhold.agent.names import KIND, Names, issue
from commonhold.agent.numbers import Numbers
from commonhold.agent.signposts import MOST_VALID, Signposts
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.instant import SECOND
from commonhold.formats.ipns import Claims
from commonhold.trees import ROOT, Attr, Tree
from tests.agent.test_globe import failed
from tests.agent.test_names import ALICE, CID, MALLORY, OTHER
from tests.fakes.records import MemoryRecords

HOUR = 3600 * SECOND


class World:
    """What one user published, and the tree of all names, which another serves."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1_800_000_000 * SECOND
        self.records = MemoryRecords()
        self.alice = Names(self.records, ALICE)
        self.keys = Keystore(path, os.geteuid())
        self.key = self.keys.make("blog", os.urandom)
        self.numbers = Numbers(path / "public.sqlite")
        self.begun()

    def begun(self) -> None:
        """The tree as another process would have it."""
        self.numbers.begin(b"epoch")
        self.tree = Signposts(lambda: Names(self.records, 999), self.numbers, lambda: self.now)

    def publish(self, path: str, ttl: int = SECOND, lifetime: int = HOUR, key: Key | None = None) -> None:
        self.alice.publish(key or self.key, path, self.now, lifetime, ttl)

    def at(self, name: object) -> Attr:
        return self.tree.lookup(ROOT, str(name).encode())

    def leads(self, name: object) -> bytes:
        return self.tree.target(self.at(name).number)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    with closing(found.numbers):
        yield found


def test_a_name_is_a_link_to_what_its_record_says(world: World) -> None:
    world.publish(f"{CID}/a b/c")
    attr = world.at(world.key.name)
    target = f"../ipfs/{CID}/a b/c".encode()
    assert world.tree.target(attr.number) == target
    assert (attr.mode, attr.links, attr.size) == (stat.S_IFLNK | 0o777, 1, len(target))
    assert world.tree.attr(attr.number) == attr


def test_a_name_that_points_at_a_name_is_a_link_to_that(world: World) -> None:
    other = world.keys.make("other", os.urandom)
    world.publish(f"/ipns/{other.name}/below")
    assert world.leads(world.key.name) == f"../ipns/{other.name}/below".encode()


def test_a_name_is_found_in_each_form_and_is_one_object(world: World) -> None:
    world.publish(str(CID))
    name = world.key.name
    peer = libipld.encode_multibase("z", bytes(name))[1:]
    forms = [str(name), peer, cids.format_text(name.cid, "base32"), cids.format_text(name.cid, "base58btc")]
    assert peer.startswith("12D3Koo") and len(set(forms)) == 4
    assert len({world.at(form).number for form in forms}) == 1


def test_another_target_is_another_object_and_the_old_one_stays_what_it_was(world: World) -> None:
    world.publish(str(CID))
    before = world.at(world.key.name)
    assert world.at(world.key.name) == before
    world.publish(str(OTHER))
    after = world.at(world.key.name)
    assert after.number != before.number
    assert world.tree.target(before.number) == f"../ipfs/{CID}".encode()
    world.begun()
    assert world.tree.target(after.number) == f"../ipfs/{OTHER}".encode()
    assert world.at(world.key.name) == after


@pytest.mark.parametrize(
    "name",
    [b"example.com", b"en.wikipedia-on-ipfs.org", b"x", b"k51", b"\xff", b"index.html", str(CID).encode(),
     b"QmSrPmbaUKA3ZodhzPWZnpFgcPMFWF4QsxXbkWfEptTBJd",
     b"k51qzi5uqu5dgutdk6i1ynyzgkqngpha5xpgia3a5qqp4jsh0u4csozksxel2r"],
)  # fmt: skip
def test_what_nobody_published_is_not_there(world: World, name: bytes) -> None:
    failed(errno.ENOENT, lambda: world.tree.lookup(ROOT, name))


def test_a_record_that_is_not_in_force_or_not_the_keys_leads_nowhere(world: World) -> None:
    world.publish(str(CID), lifetime=HOUR)
    name = world.key.name
    world.now += HOUR
    failed(errno.ENOENT, lambda: world.at(name))
    other = world.keys.make("other", os.urandom)
    world.records.put(MALLORY, KIND, name, issue(other, Claims(b"/ipfs/bafkqaaa", world.now + HOUR, 99, 0)).raw)
    failed(errno.ENOENT, lambda: world.at(name))
    world.publish(str(OTHER))
    assert world.leads(name) == f"../ipfs/{OTHER}".encode()


@pytest.mark.parametrize(
    "value",
    [b"/ipfs/", b"/ipfs/x", b"/ipfs/bafkqaaa/../..", b"/ipfs/bafkqaaa/\xff", b"/ipfs/bafkqaaa/a\0b", b"../../etc",
     b"/ipns/example.com", b"/ipfs/bafkqaaa/" + b"x" * 4079],
)  # fmt: skip
def test_a_record_of_no_path_leads_nowhere(world: World, value: bytes) -> None:
    world.records.put(ALICE, KIND, world.key.name, issue(world.key, Claims(value, world.now + HOUR, 0, 0)).raw)
    failed(errno.ENOENT, lambda: world.at(world.key.name))


def test_a_path_as_long_as_a_link_can_be_is_one(world: World) -> None:
    value = b"/ipfs/bafkqaaa/" + b"x" * 4078
    world.records.put(ALICE, KIND, world.key.name, issue(world.key, Claims(value, world.now + HOUR, 0, 0)).raw)
    assert world.leads(world.key.name) == b".." + value and len(value) == 4093


def test_a_node_that_does_not_answer_is_an_error_and_not_absence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(asker: int, kind: str, key: bytes) -> list[bytes]:
        raise HoldError("call", Kind.UNREACHABLE, "node", "nobody is there")

    monkeypatch.setattr(world.records, "get", gone)
    failed(errno.EIO, lambda: world.at(world.key.name))


@pytest.mark.parametrize(
    ("ttl", "lifetime", "believed"),
    [
        (0, HOUR, 0), (5 * SECOND, HOUR, 5 * SECOND), (HOUR, HOUR, MOST_VALID),
        (HOUR, 7 * SECOND, 7 * SECOND), ((1 << 63) - 1, HOUR, MOST_VALID),
    ],
)  # fmt: skip
def test_a_name_is_believed_as_long_as_its_record_says(world: World, ttl: int, lifetime: int, believed: int) -> None:
    world.publish(str(CID), ttl, lifetime)
    number = world.at(world.key.name).number
    assert world.tree.valid(number) == believed
    world.now += 2 * SECOND
    assert world.tree.valid(number) == max(0, believed - 2 * SECOND)
    world.now += HOUR
    assert world.tree.valid(number) == world.tree.valid(number + 1) == 0


def test_nothing_but_links_is_there_and_nothing_can_be_changed(world: World) -> None:
    world.publish(str(CID))
    number = world.at(world.key.name).number
    tree: Tree = world.tree
    assert tree.attr(ROOT).mode == DIRECTORY
    assert tree.listing(ROOT, 0, 100, True) == []
    failed(errno.EROFS, lambda: tree.unlink(ROOT, str(world.key.name).encode()))
    failed(errno.ENOTDIR, lambda: tree.lookup(number, b"x"))
    failed(errno.ENOTDIR, lambda: tree.listing(number, 0, 10, True))
    failed(errno.EINVAL, lambda: tree.read(number, 0, 10))
    failed(errno.EISDIR, lambda: tree.cached(ROOT, 0, 10))
    failed(errno.ENAMETOOLONG, lambda: tree.lookup(ROOT, b"k" * 256))
    for call in (tree.attr, tree.target, lambda number: tree.lookup(number, b"x")):
        failed(errno.ENOENT, call, 12345)


def test_only_so_many_names_are_remembered_the_latest_of_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signposts, "_REMEMBERED", 4)
    numbers = []
    for i in range(10):
        world.publish(f"{CID}/{i}")
        numbers.append(world.at(world.key.name).number)
    assert [world.tree.valid(number) for number in numbers] == [0] * 6 + [SECOND] * 4
