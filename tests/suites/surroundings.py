"""What a command's surroundings do in every shape: where it stands, its umask, what it reads from and writes to.

Each could differ where somebody else does the work. A test module makes the `hold` fixture (see `cli/running`), takes
`shell` from `cli/shell`, and imports these.
"""

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.cli.running import Hold, last
from tests.cli.shell import Shell

BAD = os.fsdecode(b"bad\xff")
FORM = ["error: ", "try: ", "code: E-"]


def line(shell: Shell, script: str, code: int = 0) -> bytes:
    """What a line of shell writes to standard output, in the directory that has the repository."""
    return shell(f"export HOLD_REPO=$PWD/repo; {script}", code).stdout


def said(shell: Shell, script: str, code: int) -> str:
    """The first line of the error that a line of shell ends in."""
    lines = shell(f"export HOLD_REPO=$PWD/repo; {script}", code).stderr.decode().splitlines()[-3:]
    assert [text.startswith(form) for text, form in zip(lines, FORM, strict=True)] == [True] * 3, lines
    return lines[0].removeprefix("error: ")


# ── where it stands ──


def test_relative_paths_begin_where_the_command_stands(hold: Hold, tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "tree").mkdir(parents=True)
        (tmp_path / place / "tree" / "file").write_text(place)
    roots = {place: last(hold("add", "-r", "-Q", "tree", cwd=tmp_path / place)) for place in ("one", "two")}
    assert last(hold("add", "-r", "-Q", ".", cwd=tmp_path / "one" / "tree")) == roots["one"]
    assert last(hold("add", "-r", "-Q", "../../two/tree", cwd=tmp_path / "one" / "tree")) == roots["two"]
    for place in ("one", "two"):
        hold("get", roots[place], "-o", "back", cwd=tmp_path / place)
        hold("get", f"{roots[place]}/file", cwd=tmp_path / place)
        hold("export", roots[place], "-o", "tree.car", cwd=tmp_path / place)
        hold("get", roots[place], "--archive", "tar", "-o", "../tar of " + place, cwd=tmp_path / place)
        assert (tmp_path / place / "back" / "file").read_text() == (tmp_path / place / "file").read_text() == place
        assert last(hold("import", "tree.car", cwd=tmp_path / place)) == roots[place]
        assert (tmp_path / f"tar of {place}").exists()


def test_keys_go_out_and_in_by_relative_names(hold: Hold, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    name = last(hold("key", "new", "key"))
    hold("key", "export", "key", "mine.pem", cwd=tmp_path / "sub")
    assert (tmp_path / "sub" / "mine.pem").stat().st_mode & 0o777 == 0o600
    assert b"code: E-EXISTS" in hold("key", "export", "key", "sub/mine.pem", code=1).stderr
    hold("key", "rm", "key")
    assert name in hold("key", "import", "again", "mine.pem", cwd=tmp_path / "sub").stdout.decode()
    assert b"code: E-NOT-FOUND" in hold("key", "import", "other", "mine.pem", code=1).stderr
    assert hold("key", "ls").stdout.decode() == f"{name} again\n"


def test_a_deleted_working_directory_hinders_nothing_that_needs_none(hold: Hold, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    gone = 'here=$PWD; mkdir gone; cd gone; rmdir "$here/gone"; '
    root = line(shell, f'{gone} hold add -Q "$here/file"').decode().strip()
    assert line(shell, f"{gone} hold cat {root}") == b"content"
    assert line(shell, f'{gone} hold get {root} -o "$here/back" && cat "$here/back"').endswith(b"content")
    assert said(shell, f"{gone} hold add file", 1) == "add file: No such file or directory"


@pytest.mark.parametrize(("umask", "modes"), [("077", "600 600 600 700 600"), ("022", "644 644 644 755 644")])
def test_what_is_made_has_the_commands_umask(hold: Hold, shell: Shell, tmp_path: Path, umask: str, modes: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"content")
    root = last(hold("add", "-r", "-Q", "tree"))
    made = (
        f"hold get {root}/file -o f; hold export {root} -o c; hold get {root} --archive tar -o t; hold get {root} -o d"
    )
    assert line(shell, f"umask {umask}; ({made}) >/dev/null 2>&1; stat -c %a f c t d d/file").split() == (
        modes.encode().split()
    )


# ── what it reads ──


def test_standard_input_of_any_kind_is_read(hold: Hold, shell: Shell, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)
    root = last(hold("add", "-Q", "file"))
    script = "{ hold add -Q - <file; cat file | hold add -Q -; hold add -Q -n - <file; hold add -Q - < <(cat file); }"
    assert line(shell, script).decode().split() == [root] * 4
    (tmp_path / "rest").write_bytes(b"skipped " + data)
    assert line(shell, "{ dd bs=8 count=1 of=/dev/null 2>/dev/null; hold add -Q -; } <rest").decode().split() == [root]
    assert last(hold("add", "-Q", "-", given=b"")) == line(shell, "hold add -Q - </dev/null").decode().strip()


def test_standard_input_that_is_closed_or_no_file_is_an_error(hold: Hold, shell: Shell) -> None:
    for words in ("add -", "import -", "block put -"):
        assert said(shell, f"hold {words} <&-", 1).endswith("Bad file descriptor"), words
    assert line(shell, "hold pin ls") == b""


def test_three_hundred_paths_are_wrapped_in_one_directory(hold: Hold, tmp_path: Path) -> None:
    names = [f"{'long ' * 30}{number:03}" for number in range(300)]
    for name in names:
        (tmp_path / name).write_text(name)
    root = last(hold("add", "-w", "-Q", *names, "-", "--name", "all", given=b"and this"))
    listed = hold("ls", root, "--names").stdout.decode().splitlines()
    assert listed == sorted([*names, "stdin"]) and hold("cat", f"{root}/{names[7]}").stdout == names[7].encode()
    assert len(hold("pin", "ls").stdout.splitlines()) == 1


# ── what it writes to ──


def test_archives_go_to_standard_output_and_into_files(hold: Hold, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(20):
        (tmp_path / "tree" / f"{number}").write_bytes(os.urandom(100_000))
    root = last(hold("add", "-r", "-Q", "tree"))
    tar = hold("get", root, "--archive", "tar", "-o", "-").stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert {name.partition("/")[2] for name in archive.getnames()} == {"", *map(str, range(20))}
    car = hold("export", root).stdout
    hold("get", root, "--archive", "tar", "-o", "file.tar")
    hold("export", root, "-o", "file.car")
    assert (tmp_path / "file.tar").read_bytes() == tar and (tmp_path / "file.car").read_bytes() == car
    assert line(shell, f"hold export {root} >>file.tar; cmp file.car <(tail -c {len(car)} file.tar)") == b""
    assert line(shell, f"hold export {root} -o - | cat >copy && hold import - <copy").decode().strip() == root
    assert b"code: E-EXISTS" in hold("export", root, "-o", "file.car", code=1).stderr


def test_a_reader_that_leaves_is_no_error_to_be_told(hold: Hold, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large").write_bytes(b"abc" * 2_000_000)
    for number in range(600):
        (tmp_path / "tree" / f"{number}").touch()
    root = last(hold("add", "-r", "-Q", "tree"))
    for words in (f"cat {root}/large", f"export {root}", f"get {root} --archive tar -o -", f"ls {root}"):
        done = shell(f"export HOLD_REPO=$PWD/repo; hold {words} | head -c 3; exit ${{PIPESTATUS[0]}}", 1)
        assert len(done.stdout) == 3 and done.stderr == b"", words
    assert line(shell, f"hold cat {root}/large | head -c 6") == b"abcabc"


@pytest.mark.parametrize(("where", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_an_output_that_takes_nothing_is_an_error(hold: Hold, shell: Shell, where: str, why: str) -> None:
    root = last(hold("add", "-Q", "-", given=b"content"))
    for words in (f"cat {root}", f"export {root}", f"get {root} --archive tar -o -", f"block get {root}", "pin ls",
                  f"dag stat {root}", f"ls {root}"):  # fmt: skip
        assert said(shell, f"hold {words} {where}", 1) == f"write standard output: {why}", words


# ── names ──


def test_names_that_are_not_utf8_are_written_read_and_told(hold: Hold, tmp_path: Path) -> None:
    (tmp_path / BAD).write_bytes(b"content")
    root = last(hold("add", "-Q", BAD))
    hold("get", root, "-o", f"{BAD} back")
    hold("export", root, "-o", f"{BAD} car")
    assert {b"bad\xff", b"bad\xff back", b"bad\xff car"} <= {*os.listdir(bytes(tmp_path))}
    assert last(hold("import", f"{BAD} car")) == root
    assert b"error: get bad\\xff back: there is something" in hold("get", root, "-o", f"{BAD} back", code=1).stderr
    assert b"error: add bad\\xff no: No such file" in hold("add", f"{BAD} no", code=1).stderr
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree" / "pipe")
    assert b"skipped tree/pipe: a pipe" in hold("add", "-r", "tree").stderr
    (tmp_path / "tree" / BAD).touch()
    assert b"error: add tree/bad\\xff: the name is not UTF-8" in hold("add", "-r", "tree", code=1).stderr


def test_words_that_are_not_utf8_name_nothing(hold: Hold) -> None:
    root = last(hold("add", "-Q", "-", given=b"content"))
    for words in (["cat", f"{root}/{BAD}"], ["pin", "ls", BAD], ["pin", "rm", BAD], ["add", "-", "--name", BAD],
                  ["key", "new", BAD], ["name", "resolve", BAD], ["block", "get", BAD]):  # fmt: skip
        done = hold(*words, code=None)
        lines = done.stderr.decode().splitlines()
        assert done.returncode in (1, 2) and lines[-1].startswith("code: E-") and "E-BUG" not in lines[-1], words
    assert len(hold("pin", "ls").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("add no/such", "add no/such: No such file or directory"),
        ("add repo/format.json/below", "add repo/format.json/below: Not a directory"),
        ("get {root} -o no/such", "get no/such: No such file or directory"),
        ("get {root} -o repo/format.json", "get repo/format.json: there is something already"),
        ("get {root} -o ..", "get ..: there is something already"),
        ("export {root} -o no/such", "export no/such: No such file or directory"),
        ("import no/such", "import no/such: No such file or directory"),
        ("key import key no/such", "key import no/such: No such file or directory"),
        ("pin rm none", "pin 'none': no pin of that name"),
    ],
)
def test_an_error_names_what_it_is_about_as_the_command_was_given_it(
    hold: Hold, shell: Shell, words: str, why: str
) -> None:
    root = last(hold("add", "-Q", "-", given=b"content"))
    assert said(shell, f"hold {words.format(root=root)}", 1) == why
