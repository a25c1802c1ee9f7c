"""Patterns mean what git says they mean, and cost no more than their length."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from commonhold.formats import gitignore
from commonhold.formats.malformed import Malformed
from tests.examples import examples

NAMES = ["a", "b", "ab", "a.b", ".a", "a b", "A", "[", "!a", "aab"]
PATHS = [
    *(f"{name}/" for name in ("a", "b", "a.b")),
    *(f"{first}/{name}" for first in ("a", "b", "a.b") for name in ("b", "ab", "a.b", "A")),
    *(f"{first}/a/" for first in ("a", "b")),
    *(f"{first}/a/{name}" for first in ("a", "b") for name in ("a", "b", "ab")),
    *(name for name in NAMES if name not in ("a", "b", "a.b")),
]


def ignored(text: str, paths: list[str]) -> set[str]:
    """As an add asks: from the top, and nothing below what is left out."""
    rules = gitignore.parse(text)
    out: set[str] = set()
    for path in sorted(paths, key=len):
        bare = path.rstrip("/")
        above = any(bare.startswith(f"{up}/") for up in out)
        last = [rule.ignores for rule in rules if rule.speaks_of(bare, is_directory=path != bare)][-1:]
        if above or last == [True]:
            out.add(bare)
    return out


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        for path in PATHS:
            if path.endswith("/"):
                Path(name, path).mkdir(parents=True)
        for path in PATHS:
            if not path.endswith("/"):
                Path(name, path).touch()
        if shutil.which("git"):
            subprocess.run(["git", "init", "-q", name], check=True)
        yield Path(name)


def ignored_by_git(text: str, tree: Path) -> set[str]:
    (tree / ".gitignore").write_text(text, newline="")
    asked = "".join(f"{path.rstrip('/')}\0" for path in PATHS).encode()
    words = ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-z", "--stdin"]
    done = subprocess.run(words, cwd=tree, input=asked, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.decode().split("\0")) - {""}


PART = st.sampled_from(
    ["a", "b", "A", ".", "*", "*", "**", "/", "/", "?", "[ab]", "[!a]", "[^b]", "[a-z]", "[z-a]", "[]a]", "[[:upper:]]",
     "[a\\-b]", "[+-b]", "\\a", "\\*", " ", "\\ ", "!", "#", "***", "/**/", "\r"]
)  # fmt: skip
LINES = st.lists(st.lists(PART, max_size=6).map("".join), max_size=4).map("\n".join)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge")
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=LINES)
def test_patterns_mean_what_git_says(tree: Path, text: str) -> None:
    assume(not re.search(r"[^/\n!]\*\*", text))  # git takes `a**/b` for `a`, then `**/b`; its manual does not
    assert ignored(text, PATHS) == ignored_by_git(text, tree), text


@pytest.mark.parametrize(
    ("pattern", "path", "spoken"),
    [
        ("*.log", "deep/in/x.log", True), ("/x", "deep/x", False), ("a/b", "c/a/b", False), ("**/b", "b", True),
        ("a/**/b", "a/b", True), ("a/**/b", "a/x/y/b", True), ("a/**", "a", False), ("a/**", "a/x/y", True),
        ("**/a/*/b/**/c", "x/a/y/b/c", True), ("**/a/*/b/**/c", "a/a/y/c", False), ("*\n", "line\nbreak", True),
        ("a*b*c", "aXbXbXc", True), ("a*b*c", "acb", False), ("\udcff*", "\udcffx", True),
        ("a/**/a/b", "a/a/a/b", True),
    ],
)  # fmt: skip
def test_known_answers(pattern: str, path: str, spoken: bool) -> None:
    (rule,) = gitignore.parse(pattern)
    assert rule.speaks_of(path, is_directory=False) is spoken


@pytest.mark.parametrize("pattern", ["/*a*a*a*a*a*b", "/**/a/**/a/**/a*b", "/**/*a*/**/*a*b*/c"])
def test_no_star_but_the_last_of_its_name_and_of_the_path_can_be_taken_back(pattern: str) -> None:
    expression = gitignore.translate(pattern)
    while (simpler := re.sub(r"\(\?>[^()]*(\(\?:[^()]*\)[^()]*)?\)", "", expression)) != expression:
        expression = simpler
    for name in expression.replace("(?:[^/]++/)*", "", 1).replace("[^/]", "x").split("/"):
        assert name.count("*") <= 1, expression


@pytest.mark.parametrize("pattern", ["*a" * 200 + "*b", "**/a/" * 200 + "b", "x/" + "**/*a*/" * 100 + "c"])
def test_a_hostile_pattern_is_answered(pattern: str) -> None:
    (rule,) = gitignore.parse(pattern)
    for path in ("a" * 255, "a/" * 2000, "x/" + "aaaa/" * 800):
        assert not rule.speaks_of(path.rstrip("/"), is_directory=False)


@pytest.mark.parametrize("line", ["a[b", "a\\", "[[:nope:]]", "[a-", "[\\", "a" * 5000, "["])
def test_what_is_no_pattern_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(Malformed, match="line 2"):
        gitignore.parse(f"fine\n{line}\n")


def test_more_patterns_than_anyone_writes_are_refused() -> None:
    with pytest.raises(Malformed, match="more than 10000"):
        gitignore.parse("a\n" * 10_001)
