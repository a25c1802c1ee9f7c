"""Gossip in a simulated network: what an announcement costs as the mesh grows, and how it stands bad days.

Usage: python gossip_sim.py [--seed S] [--sizes 10,30,100] [--days SIZE] [--everything SIZE]. The machines are those of
`commonhold.gossip` and their signatures are real; the network is `tests/gossip/world.py`. All times are simulated, but
those of the last column. The same seed prints the same figures.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.gossip.baddays import DAYS, Day, everything
from tests.gossip.scenarios import measured

_HEAD = ("introducers", "formed", "messages", "each", "/ n log n", "KiB", "mean", "worst", "idle", "idle B", "took")


def _growth(seed: int, sizes: list[int]) -> None:
    print("An announcement, from its server until every introducer keeps it. messages, KiB: of the whole mesh for one;")
    print(
        "each: of one introducer; mean, worst: simulated seconds; idle: an introducer's messages and bytes in a quiet"
    )
    print("minute; formed: simulated seconds until all know all, who come within 30 and know one address.\n")
    print(" ".join(f"{word:>11}" for word in _HEAD))
    for size in sizes:
        begun = time.monotonic()
        found = measured(seed, size)
        cells = (
            str(size), f"{found.formed:.0f} s", f"{found.messages:.0f}", f"{found.messages / size:.1f}",
            f"{found.messages / (size * math.log2(size)):.2f}", f"{found.bytes / 1024:.0f}", f"{found.mean:.2f} s",
            f"{found.worst:.2f} s", f"{found.idle:.1f}", f"{found.idle_bytes:.0f}", f"{time.monotonic() - begun:.0f} s",
        )  # fmt: skip
        print(" ".join(f"{cell:>11}" for cell in cells), flush=True)


def _days(seed: int, size: int, days: Sequence[Callable[[int, int], Day]]) -> None:
    print(
        f"\nBad days of {size} introducers: simulated seconds until all is the same again, or what stands beside it.\n"
    )
    for day in days:
        found = day(seed, size)
        print(f"{found.what:<48} {found.converged:>6.1f} s  {found.remark}", flush=True)


def main() -> None:
    """Print both tables."""
    words = argparse.ArgumentParser(description="Gossip in a simulated network.")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--sizes", default="10,30,100,300,1000")
    words.add_argument("--days", type=int, default=100, help="introducers on bad days; 0 for none")
    words.add_argument("--everything", type=int, default=1000, help="introducers on the worst day; 0 for none")
    given = words.parse_args()
    sizes = [int(size) for size in given.sizes.split(",") if size]
    if sizes:
        _growth(given.seed, sizes)
    if given.days:
        _days(given.seed, given.days, DAYS)
    if given.everything:
        _days(given.seed, given.everything, (everything,))


if __name__ == "__main__":
    main()
