"""Names and attributes: what POSIX and ext4 do where the model does not look."""

import errno
from collections.abc import Callable

import pytest

from commonhold.formats import acl
from commonhold.trees import (
    EXCHANGE,
    KEEP_SIZE,
    MAX_XATTR,
    NO_REPLACE,
    NOW,
    PUNCH_HOLE,
    ROOT,
    WHITEOUT,
    XATTR_CREATE,
    XATTR_KILL,
    XATTR_REPLACE,
    Attr,
    Change,
    Who,
)
from commonhold.volume.names import MAX_LINKS
from commonhold.volume.volume import Volume
from tests.volume.volumes import ALICE, DIRECTORY, FILE, LINK, Place, listed, make, names, write

BOB = Who("bob@family", "guests@family")


def refused(code: int, call: Callable[[], object]) -> None:
    with pytest.raises(OSError) as caught:
        call()
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[code]


def times(attr: Attr) -> tuple[int, int, int]:
    return attr.accessed, attr.modified, attr.changed


def test_a_new_volumes_root_is_its_owners_alone(volume: Volume) -> None:
    root = volume.attr(ROOT)
    assert (root.number, root.mode, root.links, root.owner, root.group) == (
        ROOT, 0o040700, 2, ALICE.owner, ALICE.owner,
    )  # fmt: skip
    assert volume.parent(ROOT) == ROOT


@pytest.mark.parametrize("kind", [0o010000, 0o020000, 0o060000, 0o140000, 0o100000, 0o040000, 0o120000])
def test_every_type_of_object_is_kept_as_it_was_made(place: Place, volume: Volume, kind: int) -> None:
    target = b"to" if kind == 0o120000 else b""
    device = 0x12345 if kind in (0o020000, 0o060000) else 0
    made = volume.make(ROOT, b"x", kind | 0o6751, device, target, BOB, True)
    assert (made.mode, made.device, made.owner, made.group) == (kind | 0o6751, device, *BOB[:2])
    assert made.size == len(target) and made.links == (2 if kind == 0o040000 else 1)
    assert made.accessed == made.modified == made.changed == made.born
    volume.sync(0)
    assert place.crash(volume).lookup(ROOT, b"x") == made


@pytest.mark.parametrize(
    ("name", "code"),
    [(b"x" * 256, errno.ENAMETOOLONG), *((name, errno.EINVAL) for name in (b"a/b", b"a\0", b".", b".."))],
)
def test_what_is_no_name_is_refused(volume: Volume, name: bytes, code: int) -> None:
    file = make(volume, b"there")
    refused(code, lambda: make(volume, name))
    refused(code, lambda: volume.link(file.number, ROOT, name))
    refused(code, lambda: volume.rename(ROOT, b"there", ROOT, name, 0))
    assert names(volume) == [b"there"]


def test_names_are_any_other_bytes(place: Place, volume: Volume) -> None:
    wanted = sorted([bytes([n]) for n in range(1, 256) if n not in b"/."] + [b"\xff" * 255, b"...", "ä".encode()])
    for name in wanted:
        make(volume, name)
    volume.sync(0)
    assert sorted(names(place.crash(volume))) == wanted


def test_what_is_no_object_is_refused(volume: Volume) -> None:
    for mode, target in ((0o644, b""), (FILE, b"target"), (0o130644, b"")):
        refused(errno.EINVAL, lambda mode=mode, target=target: make(volume, b"x", mode, ROOT, target))  # type: ignore[misc]
    refused(errno.ENOENT, lambda: make(volume, b"x", LINK))
    refused(errno.ENAMETOOLONG, lambda: make(volume, b"x", LINK, ROOT, b"t" * 4096))
    refused(errno.EINVAL, lambda: make(volume, b"", DIRECTORY))
    refused(errno.EINVAL, lambda: volume.make(ROOT, b"x", FILE, 0, b"", Who("", "g"), True))
    refused(errno.EINVAL, lambda: volume.make(ROOT, b"x", FILE, 0, b"", Who("a", "g" * 256), True))
    assert names(volume) == []


def test_who_found_a_name_free_that_is_taken_by_now_is_to_look_again(volume: Volume) -> None:
    """It may be no file, or none of theirs; and the one that is there is to be emptied only by who may write it."""
    for name, kind in ((b"f", FILE), (b"d", DIRECTORY)):
        made = make(volume, name, kind)
        refused(errno.ESTALE, lambda name=name: volume.make(ROOT, name, FILE, 0, b"", BOB, False))  # type: ignore[misc]
        refused(errno.EEXIST, lambda name=name: volume.make(ROOT, name, FILE, 0, b"", BOB, True))  # type: ignore[misc]
        assert volume.lookup(ROOT, name) == made
    assert volume.make(ROOT, b"new", FILE, 0, b"", BOB, False).owner == BOB.owner


def test_a_directory_with_the_set_group_id_bit_hands_its_group_down(volume: Volume) -> None:
    above = volume.make(ROOT, b"d", 0o042775, 0, b"", BOB, True)
    inner = make(volume, b"inner", DIRECTORY, above.number)
    file = make(volume, b"file", FILE, above.number)
    assert (inner.owner, inner.group, inner.mode) == (ALICE.owner, BOB.group, DIRECTORY | 0o2000)
    assert (file.group, file.mode) == (BOB.group, FILE)


def test_making_and_removing_changes_the_directorys_times_and_links(volume: Volume) -> None:
    steps: list[tuple[Callable[[], object], int]] = [
        (lambda: make(volume, b"f"), 2),
        (lambda: make(volume, b"d", DIRECTORY), 3),
        (lambda: volume.link(volume.lookup(ROOT, b"f").number, ROOT, b"g"), 3),
        (lambda: volume.rename(ROOT, b"g", ROOT, b"h", 0), 3),
        (lambda: volume.unlink(ROOT, b"h"), 3),
        (lambda: volume.rmdir(ROOT, b"d"), 2),
    ]
    for step, links in steps:
        before = volume.attr(ROOT)
        step()
        after = volume.attr(ROOT)
        assert after.modified == after.changed > before.changed and after.accessed == before.accessed
        assert after.links == links


def test_an_unlinked_file_lives_until_it_is_forgotten(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"still here")
    volume.unlink(ROOT, b"f")
    assert volume.attr(file).links == 0 and volume.read(file, 0, 99) == b"still here"
    volume.sync(0)
    volume = place.crash(volume, keep_orphans=True)
    assert volume.read(file, 0, 99) == b"still here"
    volume.forget([file, ROOT, 12345])
    refused(errno.ENOENT, lambda: volume.attr(file))
    assert volume.attr(ROOT).links == 2


def test_orphans_of_a_crash_are_removed_when_nobody_knows_them(place: Place, volume: Volume) -> None:
    file = make(volume, b"").number
    write(volume, file, 0, bytes(3 << 20))
    volume.sync(0)
    assert place.vault.kept_chapters
    volume = place.crash(volume)
    refused(errno.ENOENT, lambda: volume.attr(file))
    volume.sync(0)
    assert place.vault.kept_chapters == {} and list(volume.verify()) == []


def test_a_nameless_file_is_given_a_name(volume: Volume) -> None:
    file = make(volume, b"")
    assert file.links == 0
    assert volume.link(file.number, ROOT, b"now").links == 1
    volume.forget([file.number])
    assert volume.lookup(ROOT, b"now").number == file.number


def test_a_number_is_never_used_again(place: Place, volume: Volume) -> None:
    seen = {make(volume, b"a").number, make(volume, b"b").number}
    volume.unlink(ROOT, b"b")
    volume.forget(list(seen))
    volume.sync(0)
    seen.add(make(volume, b"lost").number)
    volume = place.power_cut(volume)
    seen.add(make(volume, b"kept").number)
    volume = place.crash(volume)
    seen.add(make(volume, b"c").number)
    assert len(seen) == 5 and max(seen) < 1 << 48


def test_links_have_a_limit(volume: Volume) -> None:
    file = make(volume, b"f")
    row = volume._tables.object(file.number)
    assert row is not None
    volume._tables.save(row._replace(links=MAX_LINKS - 1))
    assert volume.link(file.number, ROOT, b"last").links == MAX_LINKS
    refused(errno.EMLINK, lambda: volume.link(file.number, ROOT, b"too many"))
    refused(errno.EPERM, lambda: volume.link(ROOT, ROOT, b"root"))


def test_a_removed_directory_takes_nothing_in(volume: Volume) -> None:
    gone = make(volume, b"d", DIRECTORY).number
    file = make(volume, b"f").number
    volume.rmdir(ROOT, b"d")
    refused(errno.ENOENT, lambda: make(volume, b"x", FILE, gone))
    refused(errno.ENOENT, lambda: volume.link(file, gone, b"x"))
    refused(errno.ENOENT, lambda: volume.rename(ROOT, b"f", gone, b"x", 0))
    assert volume.listing(gone, 0, 10, True) == []


def test_flags_of_renames(volume: Volume) -> None:
    make(volume, b"a")
    make(volume, b"b")
    refused(errno.EEXIST, lambda: volume.rename(ROOT, b"a", ROOT, b"b", NO_REPLACE))
    refused(errno.EINVAL, lambda: volume.rename(ROOT, b"a", ROOT, b"b", NO_REPLACE | EXCHANGE))
    refused(errno.EINVAL, lambda: volume.rename(ROOT, b"a", ROOT, b"b", WHITEOUT))
    refused(errno.ENOENT, lambda: volume.rename(ROOT, b"a", ROOT, b"c", EXCHANGE))
    volume.rename(ROOT, b"a", ROOT, b"c", NO_REPLACE)
    assert sorted(names(volume)) == [b"b", b"c"]


def test_a_directory_cannot_be_moved_into_itself(volume: Volume) -> None:
    one = make(volume, b"1", DIRECTORY).number
    two = make(volume, b"2", DIRECTORY, one).number
    three = make(volume, b"3", DIRECTORY, two).number
    refused(errno.EINVAL, lambda: volume.rename(ROOT, b"1", three, b"x", 0))
    refused(errno.EINVAL, lambda: volume.rename(ROOT, b"1", one, b"x", 0))
    refused(errno.EINVAL, lambda: volume.rename(ROOT, b"1", two, b"3", EXCHANGE))
    refused(errno.EINVAL, lambda: volume.rename(two, b"3", ROOT, b"1", EXCHANGE))
    refused(errno.ENOTEMPTY, lambda: volume.rename(two, b"3", ROOT, b"1", 0))
    assert list(volume.verify()) == []


def test_what_stays_is_listed_once_whatever_else_comes_and_goes(volume: Volume) -> None:
    for n in range(100):
        make(volume, b"stays-%d" % n)
        make(volume, b"goes-%d" % n)
    found: list[bytes] = []
    position = 0
    for n in range(1000):
        items = volume.listing(ROOT, position, 3, True)
        if not items:
            break
        found += [item.name for item in items]
        position = items[-1].position
        if n < 100:
            volume.unlink(ROOT, b"goes-%d" % n)
            make(volume, b"comes-%d" % n)
            volume.rename(ROOT, b"comes-%d" % n, ROOT, b"comes-again-%d" % n, 0)
    stays = [name for name in found if name.startswith(b"stays")]
    assert sorted(stays) == sorted(b"stays-%d" % n for n in range(100))
    assert len(found) == len(set(found))


def test_a_listings_positions_outlast_a_crash(place: Place, volume: Volume) -> None:
    for n in range(10):
        make(volume, b"%d" % n)
    volume.sync(0)
    position = listed(volume)[4].position
    for n in range(10):
        make(volume, b"lost-%d" % n)
    volume = place.power_cut(volume)
    make(volume, b"new")
    assert [item.name for item in volume.listing(ROOT, position, 99, False)] == [b"5", b"6", b"7", b"8", b"9", b"new"]


def test_what_is_no_directory_has_no_names(volume: Volume) -> None:
    file = make(volume, b"f").number
    refused(errno.ENOTDIR, lambda: volume.lookup(file, b"x"))
    refused(errno.ENOTDIR, lambda: make(volume, b"x", FILE, file))
    refused(errno.ENOTDIR, lambda: volume.listing(file, 0, 10, False))
    refused(errno.ENOTDIR, lambda: volume.rmdir(ROOT, b"f"))
    refused(errno.ENOTDIR, lambda: volume.parent(file))
    refused(errno.ENOENT, lambda: volume.lookup(12345, b"x"))
    refused(errno.ENOENT, lambda: volume.lookup(ROOT, b"nobody"))
    refused(errno.ENAMETOOLONG, lambda: volume.lookup(ROOT, b"x" * 256))
    refused(errno.EISDIR, lambda: volume.read(ROOT, 0, 1))
    refused(errno.EISDIR, lambda: volume.change(ROOT, Change(size=0)))
    refused(errno.EINVAL, lambda: volume.target(file))


# ── attributes ──


def test_changes_of_attributes(volume: Volume) -> None:
    file = make(volume, b"f")
    changed = volume.change(file.number, Change(mode=0o7777))
    assert changed.mode == 0o107777 and changed.changed > file.changed
    assert (changed.accessed, changed.modified) == (file.accessed, file.modified)
    changed = volume.change(file.number, Change(accessed=-5, modified=(1 << 62) + 1, changed=7))
    assert times(changed) == (-5, (1 << 62) + 1, 7)
    changed = volume.change(file.number, Change(accessed=NOW, modified=NOW))
    assert changed.accessed == changed.modified == changed.changed > file.changed
    refused(errno.EINVAL, lambda: volume.change(file.number, Change(modified=1 << 63)))
    refused(errno.EINVAL, lambda: volume.change(file.number, Change(owner="")))
    refused(errno.EINVAL, lambda: volume.change(file.number, Change(size=-1)))


@pytest.mark.parametrize(("before", "after"), [(0o6755, 0o0755), (0o6745, 0o2745), (0o4700, 0o0700), (0o1777, 0o1777)])
def test_a_new_owner_ends_set_id_bits_of_what_is_no_directory(volume: Volume, before: int, after: int) -> None:
    file = volume.make(ROOT, b"f", 0o100000 | before, 0, b"", ALICE, True).number
    changed = volume.change(file, Change(owner=BOB.owner))
    assert (changed.mode & 0o7777, changed.owner, changed.group) == (after, BOB.owner, ALICE.group)
    directory = volume.make(ROOT, b"d", 0o040000 | before, 0, b"", ALICE, True).number
    assert volume.change(directory, Change(group=BOB.group)).mode & 0o7777 == before


@pytest.mark.parametrize("how", ["write", "truncate", "open"])
def test_set_id_bits_end_when_a_stranger_writes(volume: Volume, how: str) -> None:
    for kill in (False, True):
        name = b"kill" if kill else b"keep"
        file = volume.make(ROOT, name, 0o106755, 0, b"", ALICE, True).number
        if how == "write":
            volume.write(file, 0, memoryview(b"x"), kill, False)
        elif how == "truncate":
            volume.change(file, Change(size=3, kill=kill))
        else:
            volume.open(file, True, kill)
        assert volume.attr(file).mode == (0o100755 if kill else 0o106755)


def test_set_id_bits_end_where_nobody_says_whose_doing_it_is(volume: Volume) -> None:
    source = make(volume, b"source").number
    volume.write(source, 0, memoryview(b"content"), False, False)
    steps: list[Callable[[int], object]] = [
        lambda to: volume.copy(source, 0, to, 0, 7),
        lambda to: volume.allocate(to, 0, 10, 0),
        lambda to: volume.allocate(to, 0, 10, KEEP_SIZE | PUNCH_HOLE),
    ]
    for number, step in enumerate(steps):
        file = volume.make(ROOT, b"f%d" % number, 0o106755, 0, b"", ALICE, True).number
        step(file)
        assert volume.attr(file).mode == 0o100755


def test_writing_and_truncating_change_times(volume: Volume) -> None:
    file = make(volume, b"f").number
    for step in (
        lambda: volume.write(file, 0, memoryview(b"x"), False, False),
        lambda: volume.open(file, True, False),
        lambda: volume.change(file, Change(size=0)),
        lambda: volume.allocate(file, 0, 10, 0),
    ):
        before = volume.attr(file)
        step()
        after = volume.attr(file)
        assert after.modified == after.changed > before.changed and after.accessed == before.accessed


def test_what_a_kernel_writes_late_has_the_times_that_it_says(volume: Volume) -> None:
    file = make(volume, b"f").number
    before = volume.change(file, Change(modified=7, changed=9))
    assert volume.write(file, 0, memoryview(b"late"), True, True) == 4
    after = volume.attr(file)
    assert (after.modified, after.changed) == (7, 9) and after.size == before.size + 4
    assert volume.read(file, 0, 9) == b"late"


def test_reading_changes_the_time_of_access_now_and_then(place: Place, volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"content")
    before = volume.attr(file)
    volume.read(file, 0, 1)
    first = volume.attr(file)
    assert first.accessed > before.changed and (first.modified, first.changed) == (before.modified, before.changed)
    volume.read(file, 0, 1)
    volume.cached(file, 0, 1)
    assert volume.attr(file) == first
    place.clock.now += 86_400 * 10**9
    volume.cached(file, 0, 1)
    assert volume.attr(file).accessed > first.accessed


def test_extended_attributes(place: Place, volume: Volume) -> None:
    file = make(volume, b"f")
    volume.set_xattr(file.number, b"user.a", b"", 0)
    volume.set_xattr(file.number, b"user.b", bytes(MAX_XATTR), XATTR_CREATE)
    refused(errno.EEXIST, lambda: volume.set_xattr(file.number, b"user.a", b"x", XATTR_CREATE))
    refused(errno.ENODATA, lambda: volume.set_xattr(file.number, b"user.c", b"x", XATTR_REPLACE))
    both = XATTR_CREATE | XATTR_REPLACE
    refused(errno.EEXIST, lambda: volume.set_xattr(file.number, b"user.a", b"x", both))
    refused(errno.ENODATA, lambda: volume.set_xattr(file.number, b"user.c", b"x", both))
    refused(errno.EINVAL, lambda: volume.set_xattr(file.number, b"user.c", b"x", 8))
    refused(errno.E2BIG, lambda: volume.set_xattr(file.number, b"user.c", bytes(MAX_XATTR + 1), 0))
    refused(errno.ERANGE, lambda: volume.set_xattr(file.number, b"u" * 256, b"", 0))
    refused(errno.ERANGE, lambda: volume.set_xattr(file.number, b"", b"", 0))
    volume.set_xattr(file.number, b"user.a", b"\0\xff", XATTR_REPLACE)
    assert volume.attr(file.number).changed > file.changed
    volume.sync(0)
    volume = place.crash(volume)
    assert sorted(volume.xattrs(file.number)) == [b"user.a", b"user.b"]
    assert volume.xattr(file.number, b"user.a") == b"\0\xff"
    volume.remove_xattr(file.number, b"user.a")
    refused(errno.ENODATA, lambda: volume.xattr(file.number, b"user.a"))
    refused(errno.ENODATA, lambda: volume.remove_xattr(file.number, b"user.a"))
    refused(errno.ENOENT, lambda: volume.xattr(12345, b"user.a"))


LIST = b"user::rw-\nuser:bob@family:rwx\ngroup::r--\nmask::r-x\nother::---\n"


def test_permissions_are_those_of_the_acl(place: Place, volume: Volume) -> None:
    file = make(volume, b"f", 0o102644).number
    volume.set_xattr(file, acl.ACCESS, LIST, XATTR_KILL)
    assert volume.attr(file).mode == 0o100650
    volume.change(file, Change(mode=0o4620))
    assert volume.xattr(file, acl.ACCESS) == LIST.replace(b"r-x", b"-w-") and volume.attr(file).mode == 0o104620
    volume.set_xattr(file, acl.ACCESS, b"user::r--\ngroup::r--\nother::r--\n", 0)
    assert volume.attr(file).mode == 0o104444 and volume.xattrs(file) == []
    volume.remove_xattr(file, acl.ACCESS)
    refused(errno.EINVAL, lambda: volume.set_xattr(file, acl.ACCESS, b"user::r--\n", 0))
    refused(errno.EACCES, lambda: volume.set_xattr(file, acl.DEFAULT, LIST, 0))


def test_a_default_acl_takes_the_place_of_the_mask(volume: Volume) -> None:
    masked = ALICE._replace(mask=0o077)
    assert volume.make(ROOT, b"before", 0o100666, 0, b"", masked, True).mode == 0o100600
    volume.set_xattr(ROOT, acl.DEFAULT, LIST, 0)
    file = volume.make(ROOT, b"f", 0o100666, 0, b"", masked, True)
    assert file.mode == 0o100640 and volume.xattr(file.number, acl.ACCESS) == LIST.replace(b"mask::r-x", b"mask::r--")
    below = volume.make(ROOT, b"d", 0o42755, 0, b"", masked, True)
    assert below.mode == 0o42650 and sorted(volume.xattrs(below.number)) == sorted(acl.NAMES)
    assert volume.xattr(below.number, acl.DEFAULT) == LIST
    link = volume.make(ROOT, b"l", 0o120777, 0, b"to", masked, True)
    assert link.mode == 0o120777 and volume.xattrs(link.number) == []


def test_an_objects_extended_attributes_have_room_for_a_mebibyte(volume: Volume) -> None:
    file = make(volume, b"f").number
    for n in range(15):
        volume.set_xattr(file, b"user.%d" % n, bytes(MAX_XATTR), 0)
    volume.set_xattr(file, b"user.15", bytes(60_000), 0)
    refused(errno.ENOSPC, lambda: volume.set_xattr(file, b"user.15", bytes(MAX_XATTR), 0))
    volume.set_xattr(file, b"user.0", b"", 0)
    volume.set_xattr(file, b"user.15", bytes(MAX_XATTR), 0)


def test_a_refused_call_changes_nothing(place: Place, volume: Volume) -> None:
    make(volume, b"d", DIRECTORY)
    make(volume, b"f")
    volume.sync(0)
    refused(errno.EEXIST, lambda: make(volume, b"d"))
    refused(errno.EISDIR, lambda: volume.rename(ROOT, b"f", ROOT, b"d", 0))
    refused(errno.ENOTDIR, lambda: volume.rename(ROOT, b"d", ROOT, b"f", 0))
    refused(errno.EISDIR, lambda: volume.unlink(ROOT, b"d"))
    assert volume.dirty_since is None


def test_room_counts_objects(volume: Volume) -> None:
    assert volume.room().objects == 1
    make(volume, b"f")
    assert volume.room().objects == 2 and volume.room().bytes_free > 0
    file = volume.lookup(ROOT, b"f").number
    volume.unlink(ROOT, b"f")
    volume.forget([file])
    assert volume.room().objects == 1


@pytest.mark.parametrize("number", [0, -1, 1 << 48, 1 << 63, 1 << 64])
def test_numbers_that_no_object_can_have_are_nobodys(volume: Volume, number: int) -> None:
    file = make(volume, b"f").number
    for call in (
        lambda: volume.lookup(number, b"x"),
        lambda: volume.attr(number),
        lambda: volume.change(number, Change(size=1)),
        lambda: make(volume, b"x", FILE, number),
        lambda: volume.link(number, ROOT, b"x"),
        lambda: volume.rename(ROOT, b"f", number, b"x", 0),
        lambda: volume.listing(number, 0, 1, False),
        lambda: volume.read(number, 0, 1),
        lambda: volume.cached(number, 0, 1),
        lambda: write(volume, number, 0, b"x"),
        lambda: volume.copy(file, 0, number, 0, 1),
        lambda: volume.xattr(number, b"user.x"),
        lambda: volume.parent(number),
    ):
        refused(errno.ENOENT, call)
    volume.forget([number])
    assert names(volume) == [b"f"]


def test_offsets_and_values_that_cannot_be_are_refused(volume: Volume) -> None:
    file = make(volume, b"f").number
    write(volume, file, 0, b"x")
    for offset in (1, 1 << 63, 1 << 64):
        assert volume.read(file, offset, 10) == b"" == volume.cached(file, offset, 10)
        assert volume.copy(file, offset, file, 5, 10) == 0
    assert volume.read(file, 0, 1 << 64) == b"x"
    for call in (
        lambda: volume.read(file, -1, 10),
        lambda: volume.read(file, 0, -1),
        lambda: write(volume, file, -1, b"x"),
        lambda: volume.allocate(file, 0, 0, 0),
        lambda: volume.copy(file, -1, file, 5, 1),
        lambda: volume.seek(file, 0, 0),
        lambda: volume.listing(ROOT, 1 << 63, 1, False),
        lambda: volume.listing(ROOT, 0, -1, False),
        lambda: volume.make(ROOT, b"d", 0o020600, 1 << 63, b"", ALICE, True),
        lambda: volume.make(ROOT, b"d", FILE, 0, b"", Who("\udc80", "g"), True),
        lambda: volume.change(file, Change(owner="a\0b")),
    ):
        refused(errno.EINVAL, call)
    for mode in (1 << 20, 2, 8, 32, 64):
        refused(errno.EOPNOTSUPP, lambda mode=mode: volume.allocate(file, 0, 1, mode))  # type: ignore[misc]
    refused(errno.EFBIG, lambda: write(volume, file, 1 << 64, b"x"))
    refused(errno.ENXIO, lambda: volume.seek(file, 1 << 64, 3))
    assert volume.write(file, 100, memoryview(b""), False, False) == 0
    assert volume.attr(file).size == 1


def test_closing_leaves_nobody_waiting(volume: Volume) -> None:
    volume.close()
    refused(errno.EIO, lambda: volume.attr(ROOT))
    refused(errno.EIO, lambda: volume.sync(0))


def test_objects_are_as_they_were_left_however_many_are_remembered(
    place: Place, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonhold.volume.tables._ROWS", 3)
    numbers = [make(volume, b"%d" % number).number for number in range(10)]
    for number in numbers:
        volume.change(number, Change(mode=number % 8))
    volume.unlink(ROOT, b"4")
    volume.forget([numbers[4]])
    refused(errno.ENOENT, lambda: volume.attr(numbers[4]))
    left = [number for number in numbers if number != numbers[4]]
    found = [volume.attr(number) for number in left]
    assert [attr.mode & 0o777 for attr in found] == [number % 8 for number in left]
    volume.commit()
    volume.close()
    again = place.open()
    assert [again.attr(number) for number in left] == found
