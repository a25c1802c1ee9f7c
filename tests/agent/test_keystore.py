"""The keystore: keys come back, changes are whole, and what others could read or have planted is refused."""

import os
import random
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from commonhold.agent.keystore import Keystore
from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind
from commonhold.formats.keys import Seed
from tests.formats.test_ipns import FILE

ME = os.geteuid()


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path, ME)


def write(path: Path, data: bytes) -> None:
    """A file of its owner alone."""
    path.write_bytes(data)
    path.chmod(0o600)


def refused(call: object, kind: Kind) -> HoldError:
    assert callable(call)
    with pytest.raises(HoldError) as caught:
        call()
    assert caught.value.kind is kind, caught.value
    return caught.value


def test_a_key_that_is_made_signs_for_its_name(store: Keystore, tmp_path: Path) -> None:
    key = store.make("blog", random.Random(1).randbytes)
    found = Keystore(tmp_path, ME).get("blog")
    assert found == key and sign.verify(found.name.public, b"message", found.sign(b"message"))


def test_several_keys_are_listed_by_label(store: Keystore) -> None:
    assert store.all() == []
    made = [store.make(label, os.urandom) for label in ("b", "a.2", "A-1")]
    assert [key.label for key in store.all()] == ["A-1", "a.2", "b"]
    assert len({key.name for key in made}) == 3


def test_a_key_shows_its_public_name_and_no_more(store: Keystore, tmp_path: Path) -> None:
    key = store.make("blog", lambda size: b"S" * size)
    assert str(key.name) in repr(key) and "SSSS" not in repr(key) + str(key)


def test_keys_are_files_of_their_owner_alone_whatever_the_umask(store: Keystore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store.make("blog", os.urandom)
        store.export("blog", tmp_path / "out.pem")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("keys", "keys/blog.pem", "out.pem")]
    assert modes == [0o700, 0o600, 0o600]
    assert os.listdir(tmp_path / "keys") == ["blog.pem"]


def test_a_taken_label_stays_whose_it_is(store: Keystore, tmp_path: Path) -> None:
    first, second = store.make("a", os.urandom), store.make("b", os.urandom)
    store.export("a", tmp_path / "a.pem")
    for call in (
        lambda: store.make("b", os.urandom),
        lambda: store.rename("a", "b"),
        lambda: store.take("b", tmp_path / "a.pem"),
        lambda: store.export("b", tmp_path / "a.pem"),
    ):
        refused(call, Kind.EXISTS)
    assert store.all() == [first, second] and sorted(os.listdir(tmp_path / "keys")) == ["a.pem", "b.pem"]


def test_a_renamed_key_keeps_its_name(store: Keystore) -> None:
    key = store.make("old", os.urandom)
    assert store.rename("old", "new").name == key.name
    assert [found.label for found in store.all()] == ["new"]
    refused(lambda: store.rename("old", "newer"), Kind.NOT_FOUND)


def test_a_removed_key_is_gone(store: Keystore) -> None:
    store.make("a", os.urandom)
    store.remove("a")
    refused(lambda: store.get("a"), Kind.NOT_FOUND)
    refused(lambda: store.remove("a"), Kind.NOT_FOUND)


def test_without_a_label_there_must_be_one_key(store: Keystore) -> None:
    assert refused(store.only, Kind.NOT_FOUND).hint == "hold key new NAME"
    key = store.make("a", os.urandom)
    assert store.only() == key
    store.make("b", os.urandom)
    assert "a, b" in refused(store.only, Kind.USAGE).why


def test_an_exported_key_comes_back_the_same(store: Keystore, tmp_path: Path) -> None:
    key = store.make("a", os.urandom)
    store.export("a", tmp_path / "out.pem")
    store.remove("a")
    assert store.take("again", tmp_path / "out.pem").name == key.name


@pytest.mark.parametrize("case", FILE["keys"])
def test_a_key_of_other_tools_keeps_its_name(store: Keystore, tmp_path: Path, case: dict[str, str]) -> None:
    write(tmp_path / "libp2p", bytes.fromhex(case["private"]))
    assert str(store.take("theirs", tmp_path / "libp2p").name) == case["name"]


def test_a_private_key_with_anothers_public_key_is_refused(store: Keystore, tmp_path: Path) -> None:
    other = sign.public_key(Seed(bytes(31) + b"1"))
    write(tmp_path / "odd", b"\x08\x01\x12\x40" + bytes(32) + other)
    refused(lambda: store.take("odd", tmp_path / "odd"), Kind.INVALID)
    write(tmp_path / "rsa", b"-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n")
    refused(lambda: store.take("rsa", tmp_path / "rsa"), Kind.UNSUPPORTED)
    assert store.all() == []


def test_a_key_that_others_could_have_read_is_not_taken_in(store: Keystore, tmp_path: Path) -> None:
    store.make("a", os.urandom)
    exported = tmp_path / "a.pem"
    store.export("a", exported)
    (tmp_path / "link").symlink_to(exported)
    store.take("linked", tmp_path / "link")
    exported.chmod(0o644)
    for path in (exported, tmp_path / "link"):
        assert refused(lambda path=path: store.take("b", path), Kind.DENIED).hint == f"chmod 600 {path}"
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert refused(lambda: store.take("b", tmp_path / "pipe"), Kind.DENIED).why == "not a file"
    write(tmp_path / "large", bytes(5000))
    refused(lambda: store.take("b", tmp_path / "large"), Kind.TOO_LARGE)
    refused(lambda: store.take("b", tmp_path / "none"), Kind.NOT_FOUND)


def test_there_are_at_most_1024_keys(store: Keystore, tmp_path: Path) -> None:
    store.make("a", os.urandom)
    for number in range(1023):
        write(tmp_path / f"keys/k{number}.pem", b"")
    refused(lambda: store.make("b", os.urandom), Kind.TOO_LARGE)
    store.remove("k0")
    store.make("b", os.urandom)


@pytest.mark.parametrize("label", ["", ".", "..", "../a", "a/b", ".hidden", "-rf", "a" * 65, "é", "a\n", "a\0"])
def test_a_label_that_is_no_plain_word_is_refused(store: Keystore, label: str) -> None:
    for call in (lambda: store.make(label, os.urandom), lambda: store.get(label), lambda: store.remove(label)):
        refused(call, Kind.USAGE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_key_file_that_others_can_get_at_is_refused_with_the_remedy(
    store: Keystore, tmp_path: Path, mode: int
) -> None:
    store.make("a", os.urandom)
    path = tmp_path / "keys/a.pem"
    path.chmod(mode)
    for call in (lambda: store.get("a"), store.all, lambda: store.export("a", tmp_path / "x")):
        assert refused(call, Kind.DENIED).hint == f"chmod 600 {path}"
    subprocess.run(["chmod", "600", path], check=True)
    store.get("a")


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o770, 0o711, 0o777])
def test_a_key_directory_that_others_can_get_at_is_refused_with_the_remedy(
    store: Keystore, tmp_path: Path, mode: int
) -> None:
    store.make("a", os.urandom)
    path = tmp_path / "keys"
    path.chmod(mode)
    for call in (lambda: store.get("a"), store.all, lambda: store.make("b", os.urandom), lambda: store.remove("a")):
        assert refused(call, Kind.DENIED).hint == f"chmod 700 {path}"
    path.chmod(0o700)
    assert [key.label for key in store.all()] == ["a"]


def test_a_link_in_the_place_of_a_key_is_refused(store: Keystore, tmp_path: Path) -> None:
    store.make("a", os.urandom)
    (tmp_path / "keys/b.pem").symlink_to("a.pem")
    assert "symbolic link" in refused(lambda: store.get("b"), Kind.DENIED).why
    refused(lambda: store.make("b", os.urandom), Kind.EXISTS)


def test_a_link_in_the_place_of_the_directory_is_refused(store: Keystore, tmp_path: Path) -> None:
    store.make("a", os.urandom)
    (tmp_path / "keys").rename(tmp_path / "elsewhere")
    (tmp_path / "keys").symlink_to("elsewhere")
    assert "symbolic link" in refused(lambda: store.get("a"), Kind.DENIED).why
    refused(lambda: store.make("b", os.urandom), Kind.DENIED)


@pytest.mark.parametrize("plant", ["pipe", "directory"])
def test_what_is_no_file_is_refused_and_does_not_hang(store: Keystore, tmp_path: Path, plant: str) -> None:
    store.make("a", os.urandom)
    path = tmp_path / "keys/b.pem"
    if plant == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path.mkdir(0o700)
    assert refused(lambda: store.get("b"), Kind.DENIED).why == "not a file"


def test_a_file_in_the_place_of_the_directory_is_refused(store: Keystore, tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"")
    (tmp_path / "keys").chmod(0o600)
    refused(lambda: store.make("a", os.urandom), Kind.DENIED)


def test_a_key_of_another_user_is_refused(tmp_path: Path, store: Keystore) -> None:
    store.make("a", os.urandom)
    assert "owned by uid" in refused(lambda: Keystore(tmp_path, ME + 1).get("a"), Kind.DENIED).why


@pytest.mark.root
def test_a_key_file_that_was_given_to_another_is_refused(tmp_path: Path, store: Keystore) -> None:
    if ME != 0:
        pytest.skip("needs root to give files away")
    store.make("a", os.urandom)
    os.chown(tmp_path / "keys/a.pem", 1, 1)
    assert refused(lambda: store.get("a"), Kind.DENIED).hint == f"chown 0 {tmp_path}/keys/a.pem"
    os.chown(tmp_path / "keys/a.pem", 0, 0)
    os.chown(tmp_path / "keys", 1, 1)
    assert refused(lambda: store.get("a"), Kind.DENIED).hint == f"chown 0 {tmp_path}/keys"


@pytest.mark.parametrize("text", [b"", b"rubbish", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_is_named(store: Keystore, tmp_path: Path, text: bytes) -> None:
    store.make("a", os.urandom)
    (tmp_path / "keys/a.pem").write_bytes(text)
    assert "keys/a.pem" in str(refused(lambda: store.get("a"), Kind.CORRUPT))


def test_other_files_of_the_directory_are_no_keys(store: Keystore, tmp_path: Path) -> None:
    key = store.make("a", os.urandom)
    for name in ("sealing", ".left.new", ".x.pem"):
        (tmp_path / "keys" / name).write_bytes(b"something else")
    assert store.all() == [key]


def test_of_two_who_make_a_key_at_once_one_is_told_no(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from commonhold.agent.keystore import Keystore
from commonhold.errors import HoldError
store = Keystore(Path(sys.argv[1]), os.geteuid())
made = 0
for number in range(30):
    try:
        store.make(f"k{number}", os.urandom)
        made += 1
    except HoldError as error:
        assert error.kind.name == "EXISTS", error
print(made)
"""
    run = [sys.executable, "-c", script, str(tmp_path)]
    both = [subprocess.Popen(run, stdout=subprocess.PIPE) for _ in range(2)]
    assert sum(int(one.communicate()[0]) for one in both) == 30
    assert len(Keystore(tmp_path, ME).all()) == 30
