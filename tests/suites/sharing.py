"""What links do in every shape, on grids of which nobody answers. Whoever makes the `hold` fixture imports these.

Names are those of `tests.cli.grids`.
"""

import json
import textwrap
from pathlib import Path

from commonhold.formats import capability as capabilities
from commonhold.formats import link as links
from commonhold.formats.capability import ReadCapability
from commonhold.formats.link import Link, ReceivingKey
from commonhold.sealing.seal import verify_capability
from commonhold.sealing.sharing import seal_link
from tests.cli.grids import grid, join, note, receiving
from tests.cli.running import Hold, last


def sealed_tree(hold: Hold, home: Path) -> str:
    (home / "tree" / "sub dir").mkdir(parents=True)
    (home / "tree" / "secret").write_bytes(b"what nobody else reads")
    (home / "tree" / "sub dir" / "file").write_bytes(b"below")
    return last(hold("add", "-r", "-Q", "--sealed", "tree", "--name", "tree"))


def test_b30_a_link_opens_what_is_kept_for_whoever_has_it(hold: Hold, tmp_path: Path) -> None:
    capability = sealed_tree(hold, tmp_path)
    note(join(tmp_path / "repo", "family", "alice"), capability, "tree")
    link = last(hold("share", capability))
    read = capabilities.parse_text(capability)
    assert isinstance(read, ReadCapability) and links.parse(link) == Link(grid("family"), read)
    assert hold("cat", f"{link}/secret").stdout == b"what nobody else reads"
    assert hold("ls", "-n", link).stdout == b"secret\nsub dir\n"
    hold("get", link, "-o", "back")
    assert (tmp_path / "back" / "sub dir" / "file").read_bytes() == b"below"
    hold("restore", link, "--to", "/hold/me/restored")
    assert hold("cat", "/hold/me/restored/secret").stdout == b"what nobody else reads"
    assert last(hold("share", link)) == link
    hold("pin", "add", link, "--name", "again")
    hold("dag", "stat", link)


def test_a_link_is_read_from_standard_input_as_mail_left_it(hold: Hold, tmp_path: Path) -> None:
    capability = sealed_tree(hold, tmp_path)
    note(join(tmp_path / "repo", "family", "alice"), capability, "tree")
    link = last(hold("share", "-", given=f"{capability}\n".encode()))
    folded = "\r\n ".join(textwrap.wrap(link, 60)).encode()
    assert hold("cat", "-", given=folded + b"/sub dir/file\n").stdout == b"below"
    assert b"sub dir" in hold("ls", "-", given=folded).stdout
    assert b"directory" in hold("stat", "-", given=link.encode()).stdout
    hold("get", "-", "-o", "back", given=folded + b"\n")
    assert (tmp_path / "back" / "secret").read_bytes() == b"what nobody else reads"
    for wrong in (b"", b"\n", b"\xff", b"holdl1" + b"a" * 9000):
        said = hold("cat", "-", given=wrong, code=2).stderr
        assert b"code: E-USAGE" in said and len(said) < 500


def test_a_link_for_one_account_opens_for_that_one_alone(hold: Hold, tmp_path: Path) -> None:
    capability = sealed_tree(hold, tmp_path)
    family = join(tmp_path / "repo", "family", "alice")
    bob = join(tmp_path / "bob", "family", "bob")
    note(family, capability, "tree")
    own = last(hold("share", "--me"))
    assert own == receiving(family) != receiving(bob)
    for_bob = last(hold("share", capability, "--with", receiving(bob)))
    said = hold("cat", f"{for_bob}/secret", code=12)
    assert said.stdout == b"" and b"not sealed for your account, alice on family" in said.stderr
    assert b"hold share --me" in said.stderr and for_bob.encode() not in said.stderr
    for_me = json.loads(hold("--json", "share", capability, "--with", own).stdout)
    assert for_me["grid"] == "family" and for_me["to"] == own and not for_me["kept"]
    text = for_me["link"]
    assert hold("cat", f"{text}/secret").stdout == b"what nobody else reads"
    told = hold("ls", "-n", text)
    assert told.stdout == b"secret\nsub dir\n" and b"who, it does not say" in told.stderr
    again = last(hold("share", text))  # whoever can read it can share it on
    assert again == last(hold("share", capability))
    changed = text[:200] + ("a" if text[200] != "a" else "b") + text[201:]
    for wrong in (changed, text[:-1], text + "a", text.replace("holds1", "holds2")):
        said = hold("get", wrong, code=2)
        assert b"code: E-USAGE" in said.stderr and b"copy the whole of it" in said.stderr
        assert text[20:60].encode() not in said.stderr


def test_what_is_of_a_grid_that_was_not_joined_says_of_which(hold: Hold, tmp_path: Path) -> None:
    capability = sealed_tree(hold, tmp_path)
    read = capabilities.parse_text(capability)
    assert isinstance(read, ReadCapability)
    elsewhere = join(tmp_path / "bob", "village", "bob")
    join(tmp_path / "repo", "family", "alice")
    here = Link(elsewhere.grid, read)
    assert hold("cat", f"{here}/secret").stdout == b"what nobody else reads"  # what is here needs no grid
    gone = Link(elsewhere.grid, ReadCapability(bytes(32), 0, bytes(32)))
    to_bob = seal_link(here, links.parse_key(receiving(elsewhere)))
    for text in (gone, to_bob):
        for words in (["get", str(text)], ["ls", str(text)], ["cat", f"{text}/secret"]):
            said = hold(*words, code=1).stderr.decode()
            assert f"grid {elsewhere.grid}: you have not joined" in said and "hold join CODE" in said
            assert "code: E-NOT-FOUND" in said
    assert b"not joined" in hold("share", capability, "--with", receiving(elsewhere), code=1).stderr
    place = tmp_path / "repo" / "grids" / "village"
    assert not place.exists()
    without = join(tmp_path / "repo", "village")
    said = hold("get", str(to_bob), code=12).stderr.decode()
    assert "village was joined without an account" in said
    assert without.grid == elsewhere.grid


def test_who_has_no_account_receives_nothing_and_who_has_two_says_which(hold: Hold, tmp_path: Path) -> None:
    assert b"none was joined" in hold("share", "--me", code=1).stderr
    join(tmp_path / "repo", "other")
    assert b"without an account" in hold("share", "--me", code=12).stderr
    family = join(tmp_path / "repo", "family", "alice")
    assert hold("share", "--me").stdout.decode().split() == [receiving(family)]
    second = join(tmp_path / "repo", "second", "ally", "family")
    assert hold("share", "--me").stdout.decode().splitlines() == [
        f"{receiving(family)} family",
        f"{receiving(second)} second",
    ]
    assert last(hold("share", "--me", "--grid", "second")) == receiving(second)
    capability = sealed_tree(hold, tmp_path)
    note(family, capability, "tree")
    for account in (family, second):  # two accounts of one grid: whichever it was sealed for
        text = last(hold("share", capability, "--with", receiving(account)))
        assert hold("cat", f"{text}/secret").stdout == b"what nobody else reads"
    assert b"which one" in hold("share", last(hold("add", "-Q", "--sealed", "tree/secret")), code=2).stderr


def test_what_is_kept_is_shared_by_its_name_if_a_snapshot_opens_it(hold: Hold, tmp_path: Path) -> None:
    family = join(tmp_path / "repo", "family", "alice")
    hold("put", "-", "/hold/me/note", "--local", given=b"a note")
    root = last(hold("snapshot", "--name", "monday"))
    note(family, root, "monday")
    note(family, root, "by another name")
    link = last(hold("share", "monday"))
    assert link == last(hold("share", "by another name")) == last(hold("share", root))
    assert hold("cat", f"{link}/note").stdout == b"a note"
    note(family, sealed_tree(hold, tmp_path), "tree")
    assert b"what opens it is known here only of snapshots" in hold("share", "tree", code=1).stderr


WRONG = [
    ("share", 2, "hold share /hold/me/PATH"),
    ("share nothing", 1, "nothing is kept under that name"),
    ("share --me x", 2, "--grid alone"),
    ("share CAPABILITY --with bob", 2, "it does not begin with holdk1"),
    ("share CAPABILITY --with holdk1abc", 2, "copy the whole of it"),
    ("share CAPABILITY --with holdk2abc", 2, "version '2'"),
    ("share CAPABILITY --with CAPABILITY", 2, "it does not begin with holdk1"),
    ("share CAPABILITY --with WEAK", 2, "nothing can be sealed with it"),
    ("share CAPABILITY --with OTHER", 1, "you have not joined"),
    ("share CAPABILITY --grid village", 1, "not joined"),
    ("share /hold/me/x --with WEAK --grid village", 2, "--grid family"),
    ("share /hold/me/none", 1, "no such file"),
    ("share VERIFY", 12, "opens nothing"),
    ("share CID", 2, "it is not sealed"),
    ("share holdl1abc", 2, "copy the whole of it, as hold share printed it"),
]


def test_what_cannot_be_shared_is_said(hold: Hold, tmp_path: Path) -> None:
    family = join(tmp_path / "repo", "family", "alice")
    capability = sealed_tree(hold, tmp_path)
    read = capabilities.parse_text(capability)
    assert isinstance(read, ReadCapability)
    note(family, capability, "tree")
    meant = {
        "CAPABILITY": capability,
        "VERIFY": str(verify_capability(read)),
        "WEAK": str(ReceivingKey(family.grid, bytes(32))),
        "OTHER": str(ReceivingKey(grid("village"), b"\x09" + bytes(31))),
        "CID": last(hold("add", "-Q", "tree/secret")),
    }
    for words, code, said in WRONG:
        done = hold(*(meant.get(word, word) for word in words.split()), code=code)
        assert said in done.stderr.decode() and done.stdout == b"", words
        assert capability[20:60].encode() not in done.stderr
    assert hold("history").stdout == b""  # no snapshot was made for what could not be shared


def test_no_log_and_no_file_ever_has_a_link(hold: Hold, tmp_path: Path) -> None:
    capability = sealed_tree(hold, tmp_path)
    family = join(tmp_path / "repo", "family", "alice")
    note(family, capability, "tree")
    link, text = last(hold("share", capability)), last(hold("share", capability, "--with", receiving(family)))
    for one in (link, text):
        hold("cat", f"{one}/secret")
        hold("cat", f"{one}/none", code=1)
        hold("get", one[:-3], code=2)
        hold("block", "get", one, code=2)
        hold("name", "publish", one, code=None)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            found = path.read_bytes()
            assert not any(one[70:110].encode() in found for one in (link, text, capability)), path
