"""Manual pages out of the parsers that `--help` prints: hold.1, and hold-COMMAND.1 for each command.

`python -m commonhold.cli.manual DIR` writes them; the Debian package is built with it. Source: man-pages(7), man(7).
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from commonhold.cli.main import COMMANDS, EXIT_CODES, __version__, command_parser, root_parser
from commonhold.host.repository import NAME, SYSTEM

_WIDE = 10_000  # a synopsis is never broken by argparse; man does it

_ENVIRONMENT = (
    ("HOLD_REPO", "The repository, where --repo does not name one."),
    ("HOME", f"Where the user's own repository is looked for and made, as {NAME}."),
)
_FILES = (
    (NAME, "A repository, in the working directory or a parent of it that belongs to you or root."),
    (f"~/{NAME}", "Your own repository."),
    (str(SYSTEM), "The system's repository."),
    (".holdignore", "In a directory that is added: patterns, as in .gitignore, of what is left out."),
)


def pages() -> dict[str, str]:
    """Every page by its file name."""
    made = {"hold.1": _root_page()}
    for name in COMMANDS:
        made[f"hold-{name}.1"] = _command_page(name)
    return made


def _root_page() -> str:
    parser = root_parser()
    commands = [(f"hold-{name}(1)", _sentence(command.summary)) for name, command in COMMANDS.items()]
    lines = [
        *_head("hold", "own your flat, share the building"),
        ".SH SYNOPSIS",
        *_synopsis(parser),
        ".SH DESCRIPTION",
        *_paragraphs(parser.description or ""),
        ".SH COMMANDS",
        *_list(commands),
        *_options(parser, "OPTIONS"),
        *_tail([f"hold-{name}" for name in COMMANDS]),
    ]
    return "\n".join(lines) + "\n"


def _command_page(name: str) -> str:
    parser = command_parser(name)
    verbs = _verbs(parser)
    synopsis = [line for verb in verbs.values() for line in _synopsis(verb)] if verbs else _synopsis(parser)
    lines = [
        *_head(f"hold-{name}", COMMANDS[name].summary),
        ".SH SYNOPSIS",
        *synopsis,
        ".SH DESCRIPTION",
        *_paragraphs(parser.description or ""),
        *_arguments(parser),
    ]
    if verbs:
        lines.append(".SH VERBS")
        for verb, summary in _summaries(parser).items():
            lines += [f".SS {_escape(verb)}", *_paragraphs(_sentence(summary))]
            lines += [*_list(_positionals(verbs[verb])), *_list(_flags(verbs[verb], leave_out=_flags(parser)))]
    lines += [*_options(parser, "OPTIONS"), *_tail([])]
    return "\n".join(lines) + "\n"


def _head(page: str, summary: str) -> list[str]:
    return [
        f'.TH {page.upper()} 1 "" "Commonhold {__version__}" "Commonhold"',
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{_escape(page)} \\- {_escape(summary)}",
    ]


def _tail(also: list[str]) -> list[str]:
    related = [*(["hold"] if not also else []), *also]
    see = ", ".join(f"\\fB{_escape(page)}\\fR(1)" for page in related)
    return [
        ".SH EXIT STATUS",
        *_list(re.findall(r"\b(\d+) (\w[\w ]*?)(?=\s{2,}|$)", EXIT_CODES, re.MULTILINE)),
        *_list([("130", "interrupted")]),
        ".SH ENVIRONMENT",
        *_list(_ENVIRONMENT),
        ".SH FILES",
        *_list(_FILES),
        ".SH SEE ALSO",
        f"{see}, \\fBcommonhold\\fR(7)",
    ]


def _synopsis(parser: argparse.ArgumentParser) -> list[str]:
    """One paragraph that hangs: what is typed in bold, then the rest of the usage line."""
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=_WIDE)
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    rest = usage.removeprefix(parser.prog)
    return [".HP", f"\\fB{_escape(parser.prog)}\\fR{_escape(rest)}"]


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    found = _list(_positionals(parser))
    return [".SH ARGUMENTS", *found] if found else []


def _options(parser: argparse.ArgumentParser, title: str) -> list[str]:
    return [f".SH {title}", *_list(_flags(parser))]


def _positionals(parser: argparse.ArgumentParser) -> list[tuple[str, str]]:
    return [
        (_named(action), _said(action))
        for action in parser._actions
        if not action.option_strings
        and action.help != argparse.SUPPRESS
        and not isinstance(action, argparse._SubParsersAction)
    ]


def _flags(parser: argparse.ArgumentParser, leave_out: list[tuple[str, str]] | None = None) -> list[tuple[str, str]]:
    rows = []
    for action in parser._actions:
        if action.option_strings and action.help != argparse.SUPPRESS:
            value = "" if action.nargs == 0 else f" {_named(action)}"
            rows.append((", ".join(option + value for option in action.option_strings), _said(action)))
    return [row for row in rows if row not in (leave_out or [])]


def _named(action: argparse.Action) -> str:
    """What stands for an argument's value."""
    if action.metavar is None and action.choices is not None:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def _said(action: argparse.Action) -> str:
    return _sentence((action.help or "").replace("%%", "%"))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _summaries(parser: argparse.ArgumentParser) -> dict[str, str]:
    """What each verb's line of the help says."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = dict.fromkeys(action.choices, "") | {one.dest: one.help or "" for one in action._choices_actions}
    return found


def _list(rows: "list[tuple[str, str]] | tuple[tuple[str, str], ...]") -> list[str]:
    return [line for term, text in rows for line in (".TP", f"\\fB{_escape(term)}\\fR", _line(text) or "\\&")]


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        yield _line(" ".join(paragraph.split()))


def _line(text: str) -> str:
    """Text on a line of its own, which roff must not take for a request."""
    escaped = _escape(text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escape(text: str) -> str:
    """Text as roff prints it, to be typed as it stands: a hyphen stays a hyphen, a quote a quote."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    plain = plain.replace("^", "\\(ha").replace("~", "\\(ti").replace('"', "\\(dq")
    return "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in plain)


def main(directory: Path) -> None:
    """Write every page into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
