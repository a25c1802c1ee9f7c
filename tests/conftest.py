"""How much is made up for tests that make things up: all of it in `make test`, an eighth of it in `make check`.

No example has a deadline: other work may keep the machine.
"""

from hypothesis import settings

from tests.examples import FAST, USUAL, examples

settings.register_profile("full", deadline=None)
settings.load_profile("full")
settings.register_profile(FAST, max_examples=examples(USUAL, FAST), deadline=None)
