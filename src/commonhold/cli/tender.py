"""Run a tender in the foreground: it looks after what users of this host keep on grids, while they are away.

A user's agent hands it what that takes, and can take it back. It can open nothing of what it looks after. The Debian
package has a unit for it; where your own agent always runs, as with `hold up`, none is needed.
"""

import argparse
import os
from pathlib import Path

from commonhold.cli.output import Output

EXAMPLES = """examples:
  hold tender /var/lib/commonhold-tender"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `tender`."""
    parser.add_argument("state", metavar="DIR", type=Path, help="its directory, which is made if need be")


def run(args: argparse.Namespace, out: Output) -> int:
    """Serve."""
    from commonhold.host.repository import SYSTEM_TENDER
    from commonhold.tender import main

    main.run(main.Config(args.state.absolute(), SYSTEM_TENDER), os.environ)
    return 0
