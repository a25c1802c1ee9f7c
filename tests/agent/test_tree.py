"""The own tree in commands: what is put is what was there, in one step, and mounts hear of it."""

import os
import socket
import stat
from pathlib import Path

import pytest

from commonhold.agent import places
from commonhold.agent.tree import LocalTree
from commonhold.calls import OsPath
from commonhold.errors import HoldError, Kind
from commonhold.trees import ROOT, Change
from tests.agent.answering import Noting
from tests.agent.owning import ME, Home


@pytest.fixture
def tree(home: Home) -> LocalTree:
    return LocalTree(lambda: home.own)


def put(tree: LocalTree, *sources: Path, to: str = "/hold/me") -> Noting:
    noting = Noting()
    tree.put([OsPath(source) for source in sources], OsPath(to), None, noting)
    return noting


def number(home: Home, path: str) -> int:
    return places.find("look", home.volume, places.parse("look", path, home.own.uid)).number


def test_what_is_put_keeps_modes_times_attributes_links_and_holes(home: Home, tree: LocalTree, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "file").write_bytes(b"content")
    os.link(top / "file", top / "same")
    (top / os.fsdecode(b"\xff\n")).symlink_to(os.fsdecode(b"\xfe"))
    os.mkfifo(top / "pipe", 0o604)
    with (top / "sparse").open("wb") as file:
        file.seek(1 << 30)
        file.write(b"x")
        file.truncate(5 << 30)
    try:
        os.setxattr(top / "file", "user.key", b"value")
        attributes = {b"user.key": b"value"}
    except OSError:  # this file system has none
        attributes = {}
    os.chmod(top / "file", 0o4741)
    os.utime(top / "file", ns=(5, -6_000_000_007))
    os.chmod(top, 0o2555)
    os.utime(top, ns=(1, 2))
    noting = put(tree, top)
    seen = home.look("/hold/me/top")
    entries = seen["entries"]
    assert (seen["mode"], seen["modified"], seen["whose"][0]) == (oct(stat.S_IFDIR | 0o2555), 2, ME.owner)
    assert (entries[b"file"]["mode"], entries[b"file"]["modified"]) == (oct(stat.S_IFREG | 0o4741), -6_000_000_007)
    assert entries[b"file"]["xattrs"] == attributes and entries[b"file"] == entries[b"same"]
    assert entries[b"\xff\n"]["target"] == b"\xfe" and entries[b"pipe"]["mode"] == oct(stat.S_IFIFO | 0o604)
    assert entries[b"sparse"]["size"] == 5 << 30 and sum(len(data) for _, data in entries[b"sparse"]["data"]) <= 1 << 20
    assert len(noting.remarks) == 1 and "pipe" in noting.remarks[0]
    assert list(home.volume.verify()) == []


def test_what_is_put_twice_under_one_name_is_there_once(home: Home, tree: LocalTree, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    os.link(tmp_path / "file", tmp_path / "same")
    put(tree, tmp_path / "file", tmp_path / "file", tmp_path / "same")
    entries = home.look("/hold/me")["entries"]
    assert set(entries) == {b"file", b"same"} and entries[b"file"] == entries[b"same"]


def test_directories_take_in_what_comes_and_files_are_replaced_in_one_step(
    home: Home, tree: LocalTree, tmp_path: Path
) -> None:
    for content in (b"old", b"new"):
        (tmp_path / "d").mkdir(exist_ok=True)
        (tmp_path / "d" / "file").write_bytes(content)
        if content == b"new":
            (tmp_path / "d" / "more").write_bytes(content)
        put(tree, tmp_path / "d")
        if content == b"old":
            old = number(home, "/hold/me/d/file")
            home.volume.make(number(home, "/hold/me/d"), b"there", stat.S_IFREG | 0o600, 0, b"", ME, True)
    assert set(home.look("/hold/me/d")["entries"]) == {b"file", b"more", b"there"}
    assert home.look("/hold/me/d/file")["data"] == [(0, b"new")] and number(home, "/hold/me/d/file") != old
    with pytest.raises(OSError):
        home.volume.attr(old)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "file").mkdir()
    os.rename(tmp_path / "e", tmp_path / "x")
    (tmp_path / "d2").mkdir()
    os.rename(tmp_path / "x", tmp_path / "d2" / "d")
    with pytest.raises(HoldError) as caught:
        put(tree, tmp_path / "d2" / "d")
    assert caught.value.kind is Kind.NOT_A_DIRECTORY
    assert home.look("/hold/me/d/file")["data"] == [(0, b"new")]


def test_mounts_hear_of_what_commands_change_and_of_nothing_else(home: Home, tree: LocalTree, tmp_path: Path) -> None:
    names: list[tuple[int, bytes]] = []
    objects: list[int] = []
    home.own.names.add(lambda parent, name: names.append((parent, name)))
    home.own.objects.add(objects.append)
    nameless: list[int] = []
    home.own.nameless.add(nameless.append)
    home.volume.make(ROOT, b"by a mount", stat.S_IFREG | 0o600, 0, b"", ME, True)
    assert not names and not objects
    (tmp_path / "file").write_bytes(b"1")
    put(tree, tmp_path / "file")
    assert (ROOT, b"file") in names and ROOT in objects
    file = number(home, "/hold/me/file")
    names.clear()
    put(tree, tmp_path / "file")
    assert (ROOT, b"file") in names
    assert home.volume.attr(file).links == 0 and nameless == [
        file
    ]  # a mount may have it open: it says when it has forgotten it
    names.clear()
    tree.remove(OsPath("/hold/me/file"), False)
    assert (ROOT, b"file") in names
    tree.make_directory(OsPath("/hold/me/a/b"), True)
    assert (ROOT, b"a") in names and (number(home, "/hold/me/a"), b"b") in names
    one = home.shoot("/hold/me/a").name
    home.volume.change(number(home, "/hold/me/a"), Change(mode=0o700))
    before = number(home, "/hold/me/a")
    names.clear()
    home.restore(one)
    assert (ROOT, b"a") in names and before in objects


def test_what_is_neither_ours_nor_a_path_is_refused(home: Home, tree: LocalTree, tmp_path: Path) -> None:
    for path, kind in (
        ("/hold/nobody-else/x", Kind.DENIED),
        ("/hold/0/x", Kind.DENIED),
        ("/hold/me/../x", Kind.USAGE),
        ("/hold/me/./x", Kind.USAGE),
        ("/hold/me/a\0b", Kind.USAGE),
        ("/hold", Kind.USAGE),
        ("/hold/", Kind.USAGE),
        ("hold/me", Kind.USAGE),
        ("/hold/me/none", Kind.NOT_FOUND),
        ("/hold/me/file/below", Kind.NOT_A_DIRECTORY),
        ("/hold/me/" + "n" * 256, Kind.FAILED),
    ):
        if kind is Kind.NOT_A_DIRECTORY:
            home.volume.make(ROOT, b"file", stat.S_IFREG | 0o600, 0, b"", ME, True)
        with pytest.raises(HoldError) as caught:
            tree.stat(OsPath(path))
        assert caught.value.kind is kind, path
    with pytest.raises(HoldError) as caught:
        put(tree, tmp_path / "none")
    assert caught.value.kind is Kind.NOT_FOUND
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "sock"))
        assert len(put(tree, tmp_path / "sock").remarks) == 1
    assert stat.S_ISSOCK(int(home.look("/hold/me/sock")["mode"], 8))


def test_what_is_got_has_no_set_id_bits_and_is_nowhere_else(home: Home, tree: LocalTree, tmp_path: Path) -> None:
    file = home.volume.make(ROOT, b"file", stat.S_IFREG | 0o600, 0, b"", ME, True).number
    home.volume.change(file, Change(mode=0o6711, modified=-5))
    link = home.volume.make(ROOT, b"link", stat.S_IFLNK | 0o777, 0, b"/etc", ME, True).number
    home.volume.change(link, Change(modified=7))
    tree.get(OsPath("/hold/me"), OsPath(tmp_path / "out"), Noting())
    status = (tmp_path / "out" / "file").stat()
    assert stat.S_IMODE(status.st_mode) == 0o711 and status.st_mtime_ns == -5
    assert (tmp_path / "out" / "link").lstat().st_mtime_ns == 7
    with pytest.raises(HoldError) as caught:
        tree.get(OsPath("/hold/me"), OsPath(tmp_path / "out"), Noting())
    assert caught.value.kind is Kind.EXISTS


def test_one_process_has_the_tree_at_a_time(home: Home, tmp_path: Path) -> None:
    other = home.own.__class__(home.own.state, Path("/node"), home.store, os.geteuid())
    with pytest.raises(HoldError) as caught:
        other.volume()
    assert caught.value.kind is Kind.BUSY
    elsewhere = home.own.__class__(home.own.state, Path("/other"), home.store, os.geteuid())
    home.own.close()
    with pytest.raises(HoldError) as caught:
        elsewhere.volume()
    assert caught.value.kind is Kind.DENIED
    home.own.volume()
