"""Write a file's bytes, or a range of them, to standard output."""

import argparse
import os

from commonhold.cli.opening import opened
from commonhold.cli.output import Output, writing
from commonhold.cli.values import natural

EXAMPLES = """examples:
  hold cat CID/notes.txt
  hold cat CID --offset 1048576 --length 4096 | xxd"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `cat`."""
    parser.add_argument("path", metavar="CID[/path]", help="the file; sealed: CAPABILITY[/path]")
    parser.add_argument(
        "--offset", type=natural, default=0, metavar="N", help="leave out the first N bytes (default 0)"
    )
    parser.add_argument("--length", type=natural, metavar="N", help="at most N bytes (default: to the end)")


def run(args: argparse.Namespace, out: Output) -> int:
    """Write them."""
    from commonhold.agent.naming import parse_name
    from commonhold.agent.streaming import Reader

    named = parse_name(args.path)
    stop = None if args.length is None else args.offset + args.length
    with opened(args, out) as repository:
        blocks, root = repository.find(named)
        reader = Reader(blocks)
        try:
            for piece in reader.pieces(root, args.offset, stop):
                data = piece.data
                with writing():
                    while data:
                        data = data[os.write(1, data) :]
                reader.give_back(piece)
        finally:
            reader.close()
    return 0
