"""`hold`: finds the command, reads the words, runs it, and turns an error into a message and an exit code.

Start-up is kept short: only the chosen command's file is imported.
"""

import argparse
import contextlib
import importlib
import os
import signal
import sys
import traceback
from typing import Any, NamedTuple, NoReturn

from commonhold import __version__
from commonhold.cli.failing import Interrupted, catch_signals, release_signals, translated
from commonhold.cli.output import Output, open_standard_files
from commonhold.errors import HoldError, Kind
from commonhold.host.limits import allow_many_files


class Command(NamedTuple):
    """A command's file below `commonhold.cli`, and its line of the help."""

    module: str
    summary: str


COMMANDS = {
    "init": Command("init", "make a repository"),
    "add": Command("add", "take files and directories in; the last line is the root CID"),
    "get": Command("get", "write a file or tree out, or as a tar archive"),
    "cat": Command("cat", "write a file's bytes to standard output"),
    "ls": Command("ls", "list a directory"),
    "stat": Command("stat", "say what a CID or path is"),
    "put": Command("put", "put files and directories into your own tree, /hold/me"),
    "mkdir": Command("mkdir", "make a directory in your own tree"),
    "rm": Command("rm", "remove names from your own tree"),
    "snapshot": Command("snapshot", "keep your own tree as it is now; the last line opens that"),
    "history": Command("history", "the snapshots of your own tree; rm lets some go"),
    "restore": Command("restore", "put a snapshot, or a part of one, back into your own tree"),
    "keep": Command("keep", "have a sealed tree kept on a grid, in shares on several servers"),
    "check": Command("check", "say how something that a grid keeps is"),
    "repair": Command("repair", "make its missing and damaged shares anew"),
    "quota": Command("quota", "what you use on a grid, server by server"),
    "share": Command("share", "print a link to what a grid keeps, for whoever has it or for one account"),
    "pin": Command("pin", "keep graphs under names: add, ls, rm, rename"),
    "gc": Command("gc", "delete what no pin keeps, and give the disk space back"),
    "verify": Command("verify", "read and check everything, and name the pins that damage touches"),
    "export": Command("export", "write a graph as a CAR archive"),
    "import": Command("import_", "take a CAR archive in"),
    "block": Command("block", "single blocks: put, get, stat, rm"),
    "dag": Command("dag", "nodes of graphs: get, stat"),
    "key": Command("key", "the keys that names are published with: new, ls, rename, rm, export, import"),
    "name": Command("name", "names that point at content: publish, resolve, inspect, ls, rm"),
    "cid": Command("cid", "look at a CID, and convert it"),
    "repo": Command("repo", "the repository: stat"),
    "servers": Command("servers", "the servers of your grids: whether they are blessed, and how they are reached"),
    "why": Command("why", "all that is known of a server, and which clause of which file decided what"),
    "override": Command("override", "say how a server is reached, in place of what it announces"),
    "up": Command("up", "serve your repository by a node of your own and your agent, in the background"),
    "down": Command("down", "stop them"),
    "node": Command("node", "run a node in the foreground"),
    "server": Command("server", "a storage server for the grids of others: init, run, show, add"),
    "grid": Command("grid", "bless: who is of a grid, and for how long: create, list, bless, revoke, serve"),
    "invite": Command("invite", "print a code by which somebody joins a grid that you bless for"),
    "join": Command("join", "join a grid by a code"),
    "introducer": Command("introducer", "pass announcements on for grids, and store nothing: init, run, show"),
    "tender": Command("tender", "look after what users of this host keep while they are away, in the foreground"),
    "relay": Command("relay", "hand connections on to servers behind NAT, unread: init, run, show"),
    "lab": Command("lab", "a whole grid on this machine, to rehearse with: up, kill, partition, slow, damage, mend"),
    "mount": Command("mount", "mount everybody's files, in the foreground"),
    "agent": Command("agent", "run your agent in the foreground"),
    "status": Command("status", "which repository this is, and what isolation it gives"),
    "doctor": Command("doctor", "check what Commonhold stands on here, and say what to do"),
    "completion": Command("completion", "print a shell's completion script"),
    "version": Command("version", "print the version"),
}

EXIT_CODES = """exit codes:
  0 ok   1 failed   2 usage   10 no repository   11 daemon unreachable   12 denied
  13 quota   14 blessing   15 anonymity refused   16 corrupt data
  129 hung up   130 interrupted   143 terminated"""


class _Parser(argparse.ArgumentParser):
    """Takes options by their whole names only; reports a usage error in the form of all others."""

    def __init__(self, **how: Any) -> None:
        super().__init__(allow_abbrev=False, **how)

    def error(self, message: str) -> NoReturn:
        raise HoldError(self.prog, Kind.USAGE, "", message, hint=f"{self.prog} --help")


def root_parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before and for the command."""
    lines = "\n".join(f"  {name:12}{command.summary}" for name, command in COMMANDS.items())
    parser = _Parser(
        prog="hold",
        description="Commonhold: own your flat, share the building.",
        epilog=f"commands:\n{lines}\n\n`hold COMMAND --help` says more.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="hold [--repo DIR] [--json] [--quiet] COMMAND …",
    )
    _common(parser, None)
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _common(parser: argparse.ArgumentParser, default: object) -> None:
    """The options that go before or after the command's name."""
    parser.add_argument(
        "--repo",
        metavar="DIR",
        default=default,
        help="the repository, whoever owns it (else $HOLD_REPO, else searched)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=default,
        help="results and errors as JSON, one object a line (contents stay bytes)",
    )
    parser.add_argument("--quiet", action="store_true", default=default, help="no progress and no remarks")


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of one command."""
    module = importlib.import_module(f"commonhold.cli.{COMMANDS[name].module}")
    parser = _Parser(
        prog=f"hold {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n\n".join([*([module.EXAMPLES] if hasattr(module, "EXAMPLES") else []), EXIT_CODES]),
    )
    module.arguments(parser)
    _common(parser, argparse.SUPPRESS)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb, shown in zip(action.choices.values(), action._choices_actions, strict=True):
                verb.description = shown.help
                _common(verb, argparse.SUPPRESS)
    parser.set_defaults(run=module.run)
    return parser


def _parse(argv: list[str]) -> argparse.Namespace | None:
    parser = root_parser()
    outer = parser.parse_args(argv)
    if outer.command is None:
        parser.print_help()
        return None
    if outer.command not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(outer.command, COMMANDS, 1)
        raise HoldError(
            "hold",
            Kind.USAGE,
            "",
            f"no command {outer.command!r}",
            hint=f"hold {near[0]}" if near else "hold --help",
        )
    defaults = argparse.Namespace(
        command=outer.command, repo=outer.repo, json=bool(outer.json), quiet=bool(outer.quiet), argv=argv
    )
    return command_parser(outer.command).parse_args(outer.words, defaults)


def main(argv: list[str] | None = None) -> int:
    """Run a command line; the exit code."""
    words = sys.argv[1:] if argv is None else argv
    open_standard_files()
    catch_signals()
    options = words[: words.index("--")] if "--" in words else words
    out = Output(json="--json" in options, quiet="--quiet" in options)  # until the words are parsed
    op = "hold"
    try:
        allow_many_files()
        args = code = None
        with contextlib.suppress(SystemExit):  # that is how --help ends
            args = _parse(words)
        if args is not None:
            op, out.json, out.quiet = args.command, args.json, args.quiet
            code = args.run(args, out)
        out.flush()
        release_signals(signal.SIG_IGN)  # what is done is not interrupted any more
        return code or 0
    except BrokenPipeError:  # the reader of our output has left: nobody is there to be told
        return 1
    except (Exception, Interrupted) as error:  # noqa: BLE001  whatever it was, the user gets one form of error
        release_signals(signal.SIG_DFL)
        told = translated(op, error)
        out.error(told)
        if os.environ.get("HOLD_DEBUG") == "1":
            traceback.print_exception(error)
        return told.kind.value.exit


__all__ = ["COMMANDS", "__version__", "command_parser", "main", "root_parser"]
