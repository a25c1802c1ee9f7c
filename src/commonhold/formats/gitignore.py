"""Ignore patterns: the lines of a file to rules, and whether a rule speaks of a path. Source: gitignore(5).

A rule is a regular expression without a way back: between two stars, what is asked for is taken where it is first found
(an atomic group), which is as good as any later place. So a match costs no more steps than the product of both lengths,
whatever a stranger wrote.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from commonhold.formats.malformed import Malformed

MAX_LINE = 4096  # what a path can have
MAX_RULES = 10_000

_ONE = "[^/]"
_STAR = f"{_ONE}*"
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": " \\t-\\r", "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip


class Rule(NamedTuple):
    """One line. `expression` is for a whole path below the rule's directory if `anchored`, else for a last name."""

    expression: re.Pattern[str]
    anchored: bool
    directories: bool
    ignores: bool

    def speaks_of(self, path: str, *, is_directory: bool) -> bool:
        """Whether the line is about a path."""
        if self.directories and not is_directory:
            return False
        return self.expression.fullmatch(path if self.anchored else path[path.rfind("/") + 1 :]) is not None


def parse(text: str) -> list[Rule]:
    """Return the rules of a file, in its order. Malformed names the line."""
    rules = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            rule = _rule(line.removesuffix("\r"))
        except Malformed as error:
            raise Malformed(f"line {number}", error.why) from error
        if rule is not None:
            rules.append(rule)
        if len(rules) > MAX_RULES:
            raise Malformed(f"line {number}", f"more than {MAX_RULES} patterns")
    return rules


def _rule(line: str) -> Rule | None:
    if line.startswith("#"):
        return None
    if len(line) > MAX_LINE:
        raise Malformed("pattern", f"over {MAX_LINE} characters")
    bare = line.rstrip(" ")
    if bare.endswith("\\") and bare != line:  # an escaped space is not stripped
        bare += " "
    pattern = bare.removeprefix("!")
    path = pattern.removesuffix("/")
    if not path:
        return None
    anchored = "/" in path
    expression = translate(path) if anchored else _segment(_segments(path)[0])
    return Rule(re.compile(expression, re.DOTALL), anchored, path != pattern, pattern == bare)


def translate(pattern: str) -> str:
    """Return the regular expression of whole paths for a pattern with a slash in it."""
    segments = _segments(pattern.removeprefix("/"))
    runs = list(_runs(segments))
    if len(runs) == 1:
        return "/".join(map(_segment, runs[0]))
    first, *middle, last = ("/".join(map(_segment, run)) for run in runs)
    parts = [f"{first}/" if runs[0] else ""]
    parts += [f"(?>(?:{_ONE}++/)*?{run}/)" for run in middle]
    parts.append(f"(?:{_ONE}++/)*{last}" if runs[-1] else ".+")
    return "".join(parts)


def _runs(segments: list[list[str]]) -> Iterator[list[list[str]]]:
    """What stands before, between and after segments of two stars; only the first and the last may be empty."""
    run: list[list[str]] = []
    before = False
    for segment in segments:
        if len(segment) > 1 and all(item == _STAR for item in segment):
            if run or not before:
                yield run
            before, run = True, []
        else:
            run.append(segment)
    yield run


def _segment(items: list[str]) -> str:
    """The expression of one name, its items being expressions of one character, and stars."""
    runs = [""]
    for item in items:
        if item != _STAR:
            runs[-1] += item
        elif runs[-1] or len(runs) == 1:
            runs.append("")
    if len(runs) == 1:
        return runs[0]
    first, *middle, last = runs
    return first + "".join(f"(?>{_STAR}?{run})" for run in middle) + _STAR + last


def _segments(pattern: str) -> list[list[str]]:
    """A pattern's characters and stars as expressions, cut at its slashes."""
    segments: list[list[str]] = [[]]
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "\\":
            if at == len(pattern):
                raise Malformed("pattern", "ends in a backslash")
            letter = pattern[at]
            at += 1
            item = re.escape(letter)
        elif letter == "[":
            item, at = _bracket(pattern, at)
        else:
            item = {"*": _STAR, "?": _ONE}.get(letter, re.escape(letter))
        if letter == "/":
            segments.append([])
        else:
            segments[-1].append(item)
    return segments


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """The expression of what begins after a `[`, and where it ends."""
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    first = at
    parts = []
    while True:
        if pattern[at : at + 1] == "]" and at > first:
            break
        if pattern.startswith("[:", at):
            name, closed, _ = pattern[at + 2 :].partition(":]")
            if not closed or name not in _CLASSES:
                raise Malformed("pattern", f"no class [:{name[:20]}:]")
            parts.append(_CLASSES[name])
            at += len(name) + 4
            continue
        low, at = _letter(pattern, at)
        high = low
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in ("", "]"):
            high, at = _letter(pattern, at + 1)
        if low <= high:
            parts.append(f"{re.escape(low)}-{re.escape(high)}")
    inside = "".join(parts)
    if negated:
        return f"[^/{inside}]", at + 1
    return (f"(?!/)[{inside}]" if inside else "(?!)"), at + 1


def _letter(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        raise Malformed("pattern", "[ without ]")
    return pattern[at], at + 1
