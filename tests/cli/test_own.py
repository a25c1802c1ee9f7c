"""The own tree without a node. `test_shapes` has the same over all shapes."""

from tests.cli.running import hold
from tests.suites.own import *  # noqa: F403

__all__ = ["hold"]
