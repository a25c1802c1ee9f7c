"""What holds for all tests.

How much is made up for those that make things up: all of it in `make test`, an eighth of it in `make check`. No example
has a deadline: other work may keep the machine.
"""

import signal

import pytest
from hypothesis import settings

from tests.examples import FAST, USUAL, examples

settings.register_profile("full", deadline=None)
settings.load_profile("full")
settings.register_profile(FAST, max_examples=examples(USUAL, FAST), deadline=None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background does so, and all that is started there
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # so does nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: at the end nobody waits for it alone."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/system/"))
