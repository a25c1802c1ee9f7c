"""Programs that people run, in a tree of a mount: each does there what it does on any other file system."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.system.beside import look, same
from tests.system.fsx import exercise
from tests.system.mounts import Dweller, Host
from tests.waiting import SECONDS

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount and to make users"),
    pytest.mark.usefixtures("watched"),
]
_GIT = """
git init -q -b main work; cd work
git config user.name alice; git config user.email alice@example.org
for n in $(seq 300); do mkdir -p "d$((n % 20))"; seq "$n" >"d$((n % 20))/f$n"; done
git add .; git commit -qm one
for n in $(seq 1 3 300); do echo changed >>"d$((n % 20))/f$n"; done
git mv d1 moved; chmod +x d2/f2; ln -s d2/f2 link; git add .
git commit -qm two
git status --porcelain
git gc -q --prune=now
git fsck --strict
git clone -q --no-hardlinks . ../clone; git clone -q . ../linked
cd ../clone; git status --porcelain; git checkout -q HEAD~; git checkout -q main; git fsck --strict
cd ..; diff -r --exclude=.git work clone; diff -r --exclude=.git work linked
"""
_PARTS = 60
_BUILD = """
for n in $(seq {parts}); do
  printf '#include "all.h"\\nint part%s(int x) {{ return x + %s; }}\\n' $n $n >part$n.c
  printf 'int part%s(int);\\n' $n
done >all.h
{{ echo '#include <stdio.h>'; echo '#include "all.h"'; echo 'int main(void) {{ int x = 0;'
  for n in $(seq {parts}); do echo "x = part$n(x);"; done; echo 'printf("%d", x); return 0; }}'; }} >main.c
printf 'all: program\\nprogram: main.o %s\\n\\tcc -o $@ $^\\n%%.o: %%.c all.h\\n\\tcc -O1 -g -c -o $@ $<\\n' \\
  "$(seq -f 'part%g.o' -s ' ' {parts})" >Makefile
make -s -j4
./program
make -q
"""
_DEB = """
mkdir -p made/DEBIAN made/usr/share/hold-test; cp -r /usr/share/doc/d* made/usr/share/hold-test
printf 'Package: hold-test\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.org>\\nDescription: x\\n' \\
  >made/DEBIAN/control
dpkg-deb --root-owner-group -b made hold-test.deb >log
dpkg-deb -x hold-test.deb unpacked; diff -r made/usr unpacked/usr
mkdir -p system/var/lib/dpkg/info system/var/lib/dpkg/updates; touch system/var/lib/dpkg/status
for n in 1 2; do dpkg --root="$PWD/system" --force-bad-path -i hold-test.deb >>log; done
diff -r made/usr system/usr; dpkg --root="$PWD/system" --force-bad-path -r hold-test >>log; test ! -e system/usr
"""


def test_git_commits_packs_and_clones(alice: Dweller, spot: Path) -> None:
    assert alice.run("sh", "-euc", _GIT, cwd=spot) == b""


def test_sqlite_is_written_by_several_processes_at_once(alice: Dweller, spot: Path) -> None:
    with_wal, rows, writers = spot / "db", 150, 3

    def write(mark: int) -> None:
        db = sqlite3.connect(with_wal, timeout=SECONDS, isolation_level=None)
        for number in range(rows):
            db.execute("begin immediate")
            (count,) = db.execute("select count(*) from said").fetchone()
            db.execute("insert into said values (?, ?, ?)", (mark, number, count))
            db.execute("commit")
        db.close()

    def begin() -> str:
        db = sqlite3.connect(with_wal)
        (mode,) = db.execute("pragma journal_mode=wal").fetchone()
        db.execute("create table said (mark, number, before unique)")
        db.close()
        return str(mode)

    def found() -> tuple[object, ...]:
        db = sqlite3.connect(with_wal)
        counted = db.execute("select count(*), count(distinct before), max(before) from said").fetchone()
        return (*counted, *db.execute("pragma integrity_check").fetchone())

    assert alice.do(begin) == "wal"
    for doing in [alice.start(lambda mark=mark: write(mark)) for mark in range(writers)]:  # type: ignore[misc]
        alice.host.result(doing)
    count = rows * writers
    assert alice.do(found) == (count, count, count - 1, "ok")


def furnish(top: Path, machine: Host) -> None:
    """Files of several owners, with everything that an archive may keep. As root."""
    (top / "deep" / "er").mkdir(parents=True)
    for number, whose in enumerate([machine.alice, machine.bob, machine.public] * 20):
        file = top / "deep" / f"file{number}"
        file.write_bytes(os.urandom(number * 300))
        os.chown(file, whose.person.uid, whose.person.gid)
        file.chmod((0o600, 0o644, 0o755, 0o4755, 0o2755)[number % 5])
        os.link(file, top / "deep" / "er" / f"link{number}")
    os.setxattr(top / "deep" / "file1", "user.colour", b"blue")
    (top / "symlink").symlink_to("deep/file1")
    os.lchown(top / "symlink", machine.bob.person.uid, machine.bob.person.gid)
    with open(top / "sparse", "wb") as sparse:
        sparse.seek(50 << 20)
        sparse.write(b"end")
    (top / "deep").chmod(0o1777)
    for number, path in enumerate(sorted(top.rglob("*"), reverse=True)):  # a directory after what is in it
        os.utime(path, ns=(number, 10**18 + number), follow_symlinks=False)


def owners(top: Path) -> dict[str, tuple[int, int, int]]:
    """Whose everything is, and since when."""
    found = {str(path.relative_to(top)): path.lstat() for path in top.rglob("*")}
    return {name: (one.st_uid, one.st_gid, one.st_mtime_ns) for name, one in found.items()}


@pytest.mark.parametrize(
    "copying",
    [
        'tar -C "$0" --xattrs --sparse -cf - . | tar -C "$1" --xattrs --same-owner -xpf -',
        'rsync -aHAXS "$0/" "$1/"',
        'cp -a --sparse=always "$0/." "$1"',
    ],
    ids=["tar", "rsync", "cp"],
)
def test_a_copy_has_owners_links_attributes_and_times(machine: Host, spot: Path, tmp_path: Path, copying: str) -> None:
    source = tmp_path / "source"
    furnish(source, machine)
    for one, other in ((source, spot / "copy"), (spot / "copy", spot / "again"), (spot / "again", tmp_path / "back")):
        machine.do(other.mkdir)
        machine.run("bash", "-euo", "pipefail", "-c", copying, str(one), str(other))
        assert machine.do(lambda other=other: look(other)) == look(source)  # type: ignore[misc]
        assert machine.do(lambda other=other: owners(other)) == owners(source)  # type: ignore[misc]
        assert machine.do(lambda other=other: os.getxattr(other / "deep" / "file1", "user.colour")) == b"blue"  # type: ignore[misc]
    machine.do(lambda: os.sync())
    assert machine.do((spot / "again" / "sparse").stat).st_blocks < 1000
    shutil.rmtree(source)


def test_packages_are_built_and_unpacked(machine: Host, spot: Path) -> None:
    machine.run("sh", "-euc", f'cd "$0"; {_DEB}', str(spot))


def test_a_program_is_built_by_four_at_once_and_run(alice: Dweller, spot: Path) -> None:
    said = alice.run("sh", "-euc", _BUILD.format(parts=_PARTS), cwd=spot)
    assert said.decode().strip() == str(_PARTS * (_PARTS + 1) // 2)


def test_a_sandbox_sees_a_tree_that_is_bound_into_it(alice: Dweller, spot: Path) -> None:
    words = ["bwrap", "--dev-bind", "/", "/", "--bind", str(spot), "/mnt", "--unshare-pid", "sh", "-euc"]
    said = alice.run(*words, 'echo inside >/mnt/file; mv /mnt/file /mnt/moved; cat /mnt/moved; stat -c "%U" /mnt/moved')
    assert said.decode().split() == ["inside", alice.person.name]
    assert alice.do((spot / "moved").read_text) == "inside\n"


def test_twenty_thousand_things_are_done_to_one_file(alice: Dweller, spot: Path) -> None:
    assert alice.do(lambda: exercise(spot / "file", 7, 20_000), 180) <= {"collapse", "insert"}


def test_thousands_of_things_are_done_to_names(alice: Dweller, spot: Path) -> None:
    alice.do(lambda: same(spot / "tried", alice.directory / "right", 7, 8_000))
