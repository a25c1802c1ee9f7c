"""What a daemon says to whoever looks after it: a line on standard error, which the service manager keeps."""

import sys


def say(who: str, text: str) -> None:
    """Say something, of what a stranger chose no more than a bearable length, in one line."""
    line = " ".join(text.split())[:500]
    sys.stderr.write(f"{who}: {line}\n")
    sys.stderr.flush()
