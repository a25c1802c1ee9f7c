"""What a caller brings along holds for them alone: where they stand, their umask, their open files, their staying."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.agent import service
from commonhold.calls import Adding, Open, OsPath
from commonhold.errors import HoldError, Kind
from commonhold.ipc.agentclient import RemoteAgent
from tests.agent.answering import Answering, Noting, answering, standing_at
from tests.waiting import until

BAD = os.fsdecode(b"bad\xff")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Answering]:
    with answering(tmp_path) as found:
        yield found


def add(remote: RemoteAgent, *paths: str, source: Open | None = None, how: Adding | None = None) -> str:
    return str(remote.files.add([OsPath(path) for path in paths], how or Adding(), source, Noting()).cid)


def modes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in directory.rglob("*")}


# ── where they stand ──


def test_each_caller_has_their_own_working_directory_and_umask_and_the_process_keeps_its_own(
    agent: Answering, tmp_path: Path
) -> None:
    before = os.getcwd()
    mask = os.umask(0o027)
    try:
        places = {umask: tmp_path / f"{umask:o}" for umask in (0o077, 0o022, 0o002, 0o137)}
        for umask, place in places.items():
            (place / "tree" / "sub").mkdir(parents=True)
            (place / "tree" / "sub" / "file").write_bytes(b"%o" % umask)
        with agent.called() as one, agent.called() as other:  # where the test stands: they see no such tree
            for remote in (one, other):
                with pytest.raises(HoldError, match="tree: No such file"):
                    add(remote, "tree")

        def work(umask: int) -> None:
            for turn in range(10):
                cid = add(remotes[umask], "tree", how=Adding(recursive=True))
                remotes[umask].files.get(cid, OsPath(f"back {turn}"), Noting())

        remotes: dict[int, RemoteAgent] = {}
        for umask, place in places.items():
            with standing_at(place, umask):
                remotes[umask] = RemoteAgent(agent.path, os.geteuid())
                assert remotes[umask].open(agent.node.socket).alike
        threads = [threading.Thread(target=work, args=(umask,)) for umask in places]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for umask, place in places.items():
            remotes[umask].close()
            for turn in range(10):
                made = place / f"back {turn}"
                assert modes(made) == {"sub": 0o755 & ~umask, "file": 0o644 & ~umask}, oct(umask)
                assert made.stat().st_mode & 0o777 == 0o755 & ~umask
                made.chmod(0o700)
                (made / "sub").chmod(0o700)
                (made / "sub" / "file").chmod(0o600)
                assert (made / "sub" / "file").read_bytes() == b"%o" % umask
        assert os.getcwd() == before and os.umask(0o027) == 0o027
    finally:
        os.umask(mask)


def test_a_working_directory_that_was_deleted_is_stood_in(agent: Answering, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "gone").mkdir()
    with standing_at(tmp_path / "gone", 0o22):
        (tmp_path / "gone").rmdir()
        with agent.called() as remote:
            assert add(remote, str(tmp_path / "file"))
            with pytest.raises(HoldError, match="No such file"):
                add(remote, "file")


def test_files_that_the_agent_makes_for_itself_are_the_users_alone(agent: Answering, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with standing_at(tmp_path, 0), agent.called() as remote:
        remote.keys.make("key")
        add(remote, "file", how=Adding(sealed=True))
        remote.keys.export("key", OsPath("exported"))
    found = modes(agent.state)
    assert {found[name] & 0o077 for name in ("keys", "key.pem", "sealing")} == {0}
    assert (tmp_path / "exported").stat().st_mode & 0o777 == 0o600


# ── their open files ──


def test_what_they_pass_is_read_and_written_from_where_it_stands_and_its_flags_stay(
    agent: Answering, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with agent.called() as remote, open(tmp_path / "file", "r+b", buffering=0) as file:
        file.seek(4)
        cid = add(remote, "-", source=Open(file.fileno(), "file"))
        assert file.tell() == 10
        file.seek(8)
        remote.files.read(cid, 1, 3, Open(file.fileno(), "file"))
        assert file.tell() == 10 and (tmp_path / "file").read_bytes() == b"0123456756"
        for writing in (os.pipe(), [end.detach() for end in socket.socketpair()]):
            for fd in writing:
                assert os.get_blocking(fd)
            remote.files.read(cid, 0, None, Open(writing[1], "pipe"))
            assert os.read(writing[0], 100) == b"456789" and all(map(os.get_blocking, writing))
            for fd in writing:
                os.close(fd)


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_much_goes_through_a_pipe_whichever_way_it_waits(agent: Answering, kind: str, blocking: bool) -> None:
    data = os.urandom(5 << 20)
    with agent.called() as remote:
        source = os.memfd_create("data")
        os.write(source, data)
        os.lseek(source, 0, os.SEEK_SET)
        cid = add(remote, "-", source=Open(source, "data"))
        os.close(source)
        reading, writing = os.pipe() if kind == "pipe" else [end.detach() for end in socket.socketpair()]
        os.set_blocking(writing, blocking)

        def write() -> None:
            remote.files.read(cid, 0, None, Open(writing, "pipe"))
            os.close(writing)

        thread = threading.Thread(target=write)
        thread.start()
        with open(reading, "rb") as whole:
            assert whole.read() == data
        thread.join()


def test_where_nobody_reads_any_more_the_caller_is_told(agent: Answering) -> None:
    with agent.called() as remote:
        source = os.memfd_create("data")
        os.truncate(source, 3 << 20)
        cid = add(remote, "-", source=Open(source, "data"))
        os.close(source)
        reading, writing = os.pipe()

        def read_some() -> None:
            os.read(reading, 10)
            os.close(reading)

        first = threading.Thread(target=read_some)
        first.start()
        with pytest.raises(BrokenPipeError):
            remote.files.read(cid, 0, None, Open(writing, "pipe"))
        first.join()
        with pytest.raises(BrokenPipeError):
            remote.files.archive(cid, Open(writing, "pipe"), Noting())
        with pytest.raises(BrokenPipeError):
            remote.graphs.export(cid, Open(writing, "pipe"), Noting())
        os.close(writing)
        assert remote.files.stat(cid).size == 3 << 20


def test_a_file_that_cannot_be_written_or_read_is_an_error_of_its_name(agent: Answering) -> None:
    full, wrong = os.open("/dev/full", os.O_WRONLY), os.open("/dev/null", os.O_WRONLY)
    read_only = os.open("/dev/null", os.O_RDONLY)
    with agent.called() as remote:
        cid = add(remote, "-", source=Open(read_only, "nothing"))
        source = os.memfd_create("data")
        os.write(source, b"data")
        os.lseek(source, 0, os.SEEK_SET)
        cid = add(remote, "-", source=Open(source, "data"))
        for fd, why in ((full, "No space left on device"), (read_only, "Bad file descriptor")):
            with pytest.raises(HoldError) as caught:
                remote.files.read(cid, 0, None, Open(fd, "standard output"))
            assert str(caught.value) == f"write standard output: {why}"
        with pytest.raises(HoldError, match="read standard input: Bad file descriptor"):
            add(remote, "-", source=Open(wrong, "standard input"))
        assert len(list(remote.pins.all())) == 2
    for fd in (full, wrong, read_only, source):
        os.close(fd)


# ── their staying ──


def left_alone(agent: Answering) -> None:
    """Nothing of what was begun for a caller goes on."""
    until(lambda: agent.service.idle is not None)
    until(lambda: not agent.node.store.sessions)


def test_an_add_is_given_up_when_its_caller_has_left_whom_nobody_writes_to(agent: Answering) -> None:
    reading, writing = os.pipe()
    with agent.opened() as wire:
        wire.send(["files.add", [[OsPath("-")], Adding(name="half"), Open(reading, "pipe")]])
        until(lambda: agent.node.store.sessions)
        os.write(writing, b"some of it")
    left_alone(agent)
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")  # the agent has let go of it
    os.close(writing)
    assert not agent.node.store.pins()


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of so many files that to be told of each of them, and not to listen, holds the agent up."""
    monkeypatch.setattr(service, "_TELL_SECONDS", 0)
    (tmp_path / "many").mkdir()
    for number in range(1500):
        (tmp_path / "many" / f"{number:0200}").write_bytes(b"%d" % number)
    return tmp_path / "many"


def begun(agent: Answering, *said: object) -> None:
    """Make a call, hear that it goes on, and leave."""
    with agent.opened() as wire:
        wire.send(said)
        message = wire.receive()
        assert message is not None and message.said[0] in ("told", "items")


def test_what_was_begun_for_a_caller_is_given_up_when_they_have_left(
    agent: Answering, many: Path, tmp_path: Path
) -> None:
    how = Adding(name="half", recursive=True)
    begun(agent, "files.add", [[OsPath(many)], how, None])
    left_alone(agent)
    assert not agent.node.store.pins()
    with agent.called() as remote:
        cid = add(remote, str(many), how=how)
        assert len(list(remote.files.listing(cid, True))) == 1500
    (tmp_path / "to").mkdir()
    begun(agent, "files.get", [cid, OsPath(tmp_path / "to" / "back")])
    left_alone(agent)
    assert os.listdir(tmp_path / "to") == []
    begun(agent, "files.listing", [cid, False])
    left_alone(agent)
    with open(os.devnull, "wb") as sink:
        begun(agent, "files.archive", [cid, Open(sink.fileno(), "sink")])
        left_alone(agent)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_nobody_waits_for_a_reader_whose_caller_has_left(agent: Answering, kind: str) -> None:
    with agent.called() as remote:
        source = os.memfd_create("data")
        os.truncate(source, 8 << 20)
        cid = add(remote, "-", source=Open(source, "data"))
        os.close(source)
    reading, writing = os.pipe() if kind == "pipe" else [end.detach() for end in socket.socketpair()]
    with agent.opened() as wire:
        wire.send(["files.read", [cid, 0, None, Open(writing, "pipe")]])
        os.read(reading, 1)
    left_alone(agent)  # though the pipe is full, and somebody could still read it
    os.close(reading)
    os.close(writing)


# ── what they are told ──


def test_every_file_is_told_of_where_that_is_wanted(agent: Answering, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(300):
        (tmp_path / "tree" / f"{number:03}").write_bytes(b"%d" % number)
    os.symlink("000", tmp_path / "tree" / "link")
    noting, quiet = Noting(), Noting()
    with standing_at(tmp_path, 0o22), agent.called() as remote:
        how = Adding(recursive=True, verbose=True)
        done = remote.files.add([OsPath("tree")], how, None, noting)
        remote.files.add([OsPath("tree")], Adding(recursive=True), None, quiet)
    assert [path for path, _, _ in noting.files] == [*(f"tree/{n:03}" for n in range(300)), "tree/link", "tree"]
    assert noting.files[-1][1] == done.cid and done.files == 302
    assert noting.done == quiet.done == sum(len(str(n)) for n in range(300)) and quiet.files == []


def test_names_that_are_no_text_can_be_told_of(agent: Answering, tmp_path: Path) -> None:
    (tmp_path / BAD).mkdir()
    os.mkfifo(tmp_path / BAD / "pipe")
    (tmp_path / BAD / "file").write_bytes(b"x")
    noting = Noting()
    with standing_at(tmp_path, 0o22), agent.called() as remote:
        how = Adding(recursive=True, verbose=True)
        done = remote.files.add([OsPath(BAD)], how, None, noting)
        assert done.path == "bad\\xff" and noting.left_out == [("bad\\xff/pipe", "a pipe")]
        assert [path for path, _, _ in noting.files] == ["bad\\xff/file", "bad\\xff"]
        remote.files.get(str(done.cid), OsPath(BAD + " back"), Noting())
        assert os.listdir(os.fsencode(tmp_path / (BAD + " back"))) == [b"file"]
        with pytest.raises(HoldError) as caught:
            remote.files.get(str(done.cid), OsPath(BAD + " back"), Noting())
        assert caught.value.kind is Kind.EXISTS and caught.value.subject == "bad\\xff back"
        (tmp_path / BAD / BAD).touch()
        with pytest.raises(HoldError) as caught:
            remote.files.add([OsPath(BAD)], how, None, noting)
        assert caught.value.kind is Kind.INVALID and caught.value.subject == "bad\\xff/bad\\xff"
        with pytest.raises(HoldError, match="No such file"):
            remote.keys.take("key", OsPath(f"none {BAD}"))
        assert remote.keeping.usage().pins == 1
