"""A storage server: keeps other machines' shares, for accounts that its grid's blessers vouch for. It can read none.

`init` makes its directory with a config to look at, `run` serves in the foreground. Who it is is the key in its
directory: a server that is moved takes that along. `show`, `add` and `drain` work whether it runs or not.

`drain STATE PATH` empties one of its directories onto the others, while it goes on, and takes it off the list. `drain
STATE` has the whole server leave: it tells everybody and takes nothing new; whose shares it has move them, each by
`hold repair`. It is empty at the latest when the last lease has ended, which `show` says, and can be switched off then.
"""

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonhold.cli.output import Output, counted
from commonhold.cli.values import size

if TYPE_CHECKING:
    from commonhold.ipc.control import Order, Told
    from commonhold.storage.orders import Orders

EXAMPLES = """examples:
  hold server init /srv/hold --grid gmfzwc… --listen tcp:0.0.0.0:7373 --announce tcp:attic.example:7373
  hold server run /srv/hold
  hold server add /srv/hold /mnt/disk2 --limit 500G
  hold server drain /srv/hold /mnt/disk1 --wait"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `server`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="init|run|show|add|drain")
    init = verbs.add_parser("init", help="make a server's directory, its key and its config; the last line is its pin")
    init.add_argument("state", metavar="DIR", type=Path, help="its directory, which is made")
    init.add_argument("--grid", required=True, metavar="GRID", help="the id of the grid that it serves: g…")
    init.add_argument("--listen", action="append", default=[], metavar="ADDRESS", help="tcp:NUMBER:PORT or unix:PATH")
    init.add_argument("--announce", action="append", default=[], metavar="ADDRESS", help="by which others reach it")
    init.add_argument("--introducer", action="append", default=[], metavar="PIN@ADDRESS,…", help="who is told of it")
    init.add_argument(
        "--relay", action="append", default=[], metavar="PIN@ADDRESS,…", help="which hands clients on to it"
    )
    init.add_argument("--name", default="", metavar="NAME", help="how it is called; it proves nothing")
    init.add_argument("--limit", type=size, metavar="SIZE", help="bytes of shares that its directory takes")
    run = verbs.add_parser("run", help="serve, in the foreground")
    run.add_argument("state", metavar="DIR", type=Path, help="its directory")
    show = verbs.add_parser(
        "show", help="its pin, its directories for shares and what is on them; whether it is leaving"
    )
    show.add_argument("state", metavar="DIR", type=Path, help="its directory")
    add = verbs.add_parser(
        "add", help="have another directory take shares, change how many it takes, or keep one that is being emptied"
    )
    add.add_argument("state", metavar="DIR", type=Path, help="the server's directory")
    add.add_argument("path", metavar="PATH", type=Path, help="on the disk that is to take shares")
    add.add_argument("--limit", type=size, metavar="SIZE", help="bytes of shares that it takes; else what its disk has")
    drain = verbs.add_parser("drain", help="empty one of its directories onto the others; or the whole server")
    drain.add_argument("state", metavar="DIR", type=Path, help="the server's directory")
    drain.add_argument("path", metavar="PATH", type=Path, nargs="?", help="what is emptied; else the whole server")
    drain.add_argument("--cancel", action="store_true", help="it stays: it takes shares again")
    drain.add_argument("--wait", action="store_true", help="until it is empty")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    state: Path = args.state.absolute()
    if args.verb == "init":
        return _init(args, state, out)
    if args.verb == "run":
        return _serve(state)
    if args.verb == "drain":
        return _drain(args, state, out)
    return _add(args, state, out) if args.verb == "add" else _show(state, out)


def _serve(state: Path) -> int:
    from commonhold.storage import config, main, places

    main.run(config.read(places.home(state).config), os.environ)
    return 0


def _init(args: argparse.Namespace, state: Path, out: Output) -> int:
    from commonhold.host import configs
    from commonhold.storage import config, places

    values = {
        "state": str(state), "grid": args.grid, "listen": args.listen, "announce": args.announce,
        "introducers": args.introducer, "relay": args.relay, "name": args.name,
    }  # fmt: skip
    config.parse(values)
    home = places.home(state)
    pin = str(home.make(configs.text("A storage server: man commonhold, docs/spec/storage.md", values)))
    with places.opened(state, "server init") as book:
        places.add_shelf(book, state / places.SHARES, args.limit)
    out.result({"pin": pin, "config": str(home.config)}, pin)
    return 0


def _order(state: Path, said: "Order") -> "Told":
    """Tell the server something, by its control socket if it runs, else on its files; what comes of it."""
    from commonhold.ipc import control
    from commonhold.storage import orders

    told = control.tell(state / control.SOCKET, said)
    if told is not None:
        return told
    with orders.offline(state, f"server {said['do']}") as found:
        return found.do(said)


def _add(args: argparse.Namespace, state: Path, out: Output) -> int:
    _tell_shelf(_order(state, {"do": "add", "path": str(args.path.absolute()), "limit": args.limit}), out)
    return 0


def _show(state: Path, out: Output) -> int:
    from commonhold.storage import places

    pin = str(places.home(state).pin())
    told = _order(state, {"do": "show"})
    said = {name: value for name, value in told.items() if name != "shelves"}
    out.result({"pin": pin} | said, pin)
    if told["leaving"] is not None and not out.json:
        out.line(_left(told))
    for shelf in told["shelves"]:
        _tell_shelf(shelf, out)
    return 0


def _drain(args: argparse.Namespace, state: Path, out: Output) -> int:
    from commonhold.ipc import control
    from commonhold.storage import orders

    path = None if args.path is None else str(args.path.absolute())
    said = {"do": "cancel" if args.cancel else "drain", "path": path}
    told = control.tell(state / control.SOCKET, said)
    if told is None:
        with orders.offline(state, "server drain") as found:
            told = found.do(said)
            if path is not None and not args.cancel:
                return _move(found, path, out)  # nobody else would do it
        if path is None and not args.cancel:
            out.remark("it does not run: it tells of this when it does (hold server run)")
    elif args.wait and not args.cancel:
        told = _wait(state, path, told, out)
    if path is None:
        text = "it stays, and takes shares again" if told["leaving"] is None else _left(told)
        out.result({name: value for name, value in told.items() if name != "shelves"}, text)
    else:
        _tell_end(_shelf_of(told, path), path, out)
    return 0


def _move(found: "Orders", path: str, out: Output) -> int:
    """Empty a directory of a server that does not run, here and now."""
    mover, shelf = found.keeper().mover, _shelf_of(found.do({"do": "show"}), path)
    progress = out.progress(f"moving what is in {path}", shelf["bytes"] if shelf else None)
    while shelf is not None and mover.step():
        now = _shelf_of(found.do({"do": "show"}), path)
        progress.bytes(shelf["bytes"] - (now["bytes"] if now else 0))
        shelf = now
    progress.close()
    shelf = _shelf_of(found.do({"do": "show"}), path)
    _tell_end(shelf, path, out)
    return 1 if shelf else 0


def _wait(state: Path, path: str | None, told: "Told", out: Output) -> "Told":
    """Until what is being emptied is empty, or stays after all; with what is left whenever that changes."""
    last = None
    while (left := told if path is None else _shelf_of(told, path)) is not None:
        if left["leaving"] is None or (path is None and not left["shares"]):
            break
        line = _left(left) if path is None else _line(left)
        if line != last:
            out.remark(line)
        last = line
        time.sleep(1.0)
        told = _order(state, {"do": "show"})
    return told


def _shelf_of(told: "Told", path: str) -> dict[str, Any] | None:
    return next((shelf for shelf in told["shelves"] if shelf["path"] == path), None)


def _tell_end(shelf: dict[str, Any] | None, path: str, out: Output) -> None:
    if shelf is None:
        out.result({"path": path, "bytes": 0, "empty": True}, f"{path}: empty, and no longer one of the server's")
    else:
        _tell_shelf(shelf, out)


def _tell_shelf(shelf: dict[str, Any], out: Output) -> None:
    out.result(shelf, _line(shelf))


def _line(shelf: dict[str, Any]) -> str:
    said = "what its disk has" if shelf["limit"] is None else f"{shelf['limit']} bytes"
    text = f"{shelf['path']}: {shelf['bytes']} bytes of {said}"
    if shelf["leaving"] is not None:
        text += ", being emptied"
        text += f"; {shelf['waiting']} cannot be moved yet: {shelf['why']}" if shelf["waiting"] else ""
    return text


def _left(told: "Told") -> str:
    """What a server that is leaving has yet."""
    from commonhold.authority import times

    since = f"leaving since {times.shown(told['leaving'])}"
    if not told["shares"]:
        return f"{since}: no share is left, and it can be switched off"
    shares, accounts = counted(told["shares"], "share"), counted(told["accounts"], "account")
    end = times.shown(told["until"])
    return f"{since}: {shares} of {accounts} left, {told['bytes']} bytes; the last lease ends {end}"
