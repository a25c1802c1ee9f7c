"""Words that may be secrets: read from standard input where `-` is given, so that no list of processes shows them."""

import sys

from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import link as links

_MOST = 8192  # characters: a link, and a path below it


def given(word: str) -> str:
    """A word, or for `-` what is on standard input: before the first slash, blanks and breaks that a mail has put in
    are left out. USAGE for what is empty, too long or no text."""
    if word != "-":
        return word
    try:
        with os_errors("read", "standard input"):
            text = sys.stdin.buffer.read(4 * _MOST).decode()
    except UnicodeDecodeError as error:
        raise HoldError("read", Kind.USAGE, "standard input", "not UTF-8", hint="hold share X | hold get -") from error
    first, slash, rest = text.strip("\r\n").partition("/")
    found = "".join(first.split()) + slash + rest
    if not 0 < len(found) <= _MOST:
        why = "there is nothing" if not found else f"more than {_MOST} characters"
        raise HoldError("read", Kind.USAGE, "standard input", why, hint="hold share X | hold get -")
    return found


def tell_sender(word: str, out: Output) -> None:
    """Say of what was sealed for one account that it does not tell who did so."""
    if links.is_sealed(word):
        out.remark("note: somebody who has your receiving key shared this; who, it does not say")
