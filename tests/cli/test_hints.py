"""Every error says what to do next."""

import pytest

from commonhold.errors import Kind
from tests.cli.shell import Shell, shell

__all__ = ["shell"]

HELLO = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"
_READY = (
    "hold init --quiet >/dev/null; mkdir tree sub; echo 'hello world' | tee hello >tree/hello; ln hello sub/hello;"
    " ln -s x tree/link; hold add -Q -r tree >root; hold add -Q hello >/dev/null"
)


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (f"get {HELLO} -o missing/x", 1, "check the path: what is above it has to be there"),
        ("add missing", 1, "check the path: what is above it has to be there"),
        ("add ''", 2, "hold add --help"),
        ("add /dev/null", 1, "hold add - reads a pipe"),
        ("add tree", 2, "hold add -r tree"),
        ("add -w hello sub/hello", 1, "rename one of them"),
        ("cat $root", 1, "hold ls lists it, hold get writes it out"),
        ("cat $root/link", 1, "hold stat says what it is"),
        ("cat $root/other", 1, "hold ls lists what is there"),
        ("cat nonsense", 2, "a CID as hold add printed it, or as hold pin ls lists it"),
        ("cat holdr1nonsense", 2, "copy the whole of it, as hold add --sealed printed it"),
        (f"export {HELLO} -o hello", 1, "choose another"),
        (f"get {HELLO} -o hello", 1, "choose another"),
        ("init", 1, "use it as it is, or name another place with --repo"),
        (f"import $(hold export {HELLO} | head -c 70 >cut; echo cut)", 1, "get the archive again: it is damaged"),
        ("import hello hello --name x", 2, "import them one by one"),
        ("add --profile other hello", 2, "--profile unixfs-v1-2025"),
        ("add --chunker other hello", 2, "--chunker size-1048576"),
        ("dag get $root/nothing", 1, "hold dag get "),
        ("pin rename $root $'a\\nb'", 2, "choose another"),
        (f"pin rename $root {HELLO}", 1, "choose another"),
        (f"block get {HELLO}/x", 2, "hold dag get takes paths"),
        ("block put --codec dag-pb hello", 1, "--codec raw takes any bytes"),
        ("cid format -b other $root", 2, "hold cid bases, hold cid codecs and hold cid hashes list what is known"),
        ("block get bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", 1, "hold add or hold import brings"),
    ],
)
def test_an_error_says_what_to_do(shell: Shell, words: str, code: int, hint: str) -> None:
    told = shell(f"root=$(<root); hold {words} >/dev/null", code, after=_READY).stderr.decode().splitlines()[-3:]
    assert told[0].startswith("error: ") and told[1].startswith(f"try: {hint}") and told[2].startswith("code: E-")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_error_has_something_that_mostly_helps(kind: Kind) -> None:
    assert kind.value.hint
