"""Say all that is known of a server, and which clause of which file decided what.

A line for each verdict, each blessing, each address and how it would be dialled or why not, what each introducer shows
of it, and each field with the file, line and column that decided it.
"""

import argparse

from commonhold.cli.output import Output

EXAMPLES = """examples:
  hold why attic
  hold why pk3jx7ab --grid family"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `why`."""
    from commonhold.cli.joined import grid_option

    parser.add_argument("server", metavar="SERVER", help="its name, its pin, or the first 8 characters of that or more")
    grid_option(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Say it."""
    from commonhold.cli import joined
    from commonhold.grids.telling import lines, whole_row

    found = list(joined.grids(args))
    grid, servers = joined.meant(found, args.server)
    name = grid.membership.name
    for number, server in enumerate(servers):
        account = joined.account(grid, server)
        shown = [*([""] if number else []), *lines(server, name), *([account] if account else [])]
        out.result(whole_row(server, name) | {"account": account}, "\n".join(shown))
    joined.tell_problems(grid, out)
    return 0
