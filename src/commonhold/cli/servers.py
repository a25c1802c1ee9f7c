"""List the servers of the grids you take part in: whether they are blessed, and how they are reached.

MAY is what may be done there: upload, and until when if nothing newer comes; read only, where a blessing was lost;
nothing, where nobody whose word counts ever blessed the server. Leaving: it says that it is being emptied, or its
blessing was taken back, so what is kept there is to be moved. What is wrong in the files of known servers is said
beside the list, and makes the exit code 1.
"""

import argparse

from commonhold.cli.output import Output

EXAMPLES = """examples:
  hold servers
  hold servers --grid family --json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `servers`."""
    from commonhold.cli.joined import grid_option

    grid_option(parser)
    parser.add_argument("--ask", action="store_true", help="ask introducers now, instead of saying what is known")


def run(args: argparse.Namespace, out: Output) -> int:
    """List them."""
    from commonhold.cli import joined
    from commonhold.grids.telling import COLUMNS, columns, row

    if args.ask:
        joined.ask(args)
    found = list(joined.grids(args))
    rows: list[tuple[str, ...]] = []
    for grid in found:
        name = grid.membership.name
        rows += [(name, *columns(server)) for server in grid.known.servers]
        for server in grid.known.servers if out.json else ():
            out.result(row(server, name))
    if rows and not out.json:
        head = ("GRID", *COLUMNS)
        widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
        for line in (head, *rows):
            out.line("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
    if not rows:
        out.remark("no server is known yet: hold servers --ask asks introducers, who tell of them")
    wrong = [grid for grid in found if joined.tell_problems(grid, out)]
    return 1 if wrong else 0
