"""Mount the public namespace and every user's own tree, for all users of this host. Runs in the foreground, as root.

The service commonhold-mount does this from the start of the machine on: systemctl enable --now commonhold-mount
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import mounted
from commonhold.host.names import shown
from commonhold.host.repository import MOUNT_CONFIG

if TYPE_CHECKING:
    from commonhold.mount.config import Config

EXAMPLES = """examples:
  hold mount
  hold mount --config /etc/commonhold/mount.toml
  hold mount --at /srv/hold
  hold mount --at /srv/hold --off
  hold mount --link"""
_LINK = "hold"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `mount`."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="its config, in TOML")
    parser.add_argument("--at", metavar="DIR", type=Path, help="where, in place of what the config says")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--off", action="store_true", help="end that mount, or take away what a killed one has left")
    other.add_argument(
        "--link",
        nargs="?",
        const=_LINK,
        metavar="NAME",
        help=f"mount nothing: make a link in your home directory (default: {_LINK}) to your files in the mount",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Mount, and serve until told to stop."""
    if args.link is not None:
        return _link(args.link, out)
    if os.geteuid() != 0:
        hint = "sudo hold mount --off" if args.off else "sudo hold mount"
        raise HoldError("mount", Kind.DENIED, "/dev/fuse", "only root may mount for others", hint=hint)
    config = _config(args)
    if args.off:
        return _end(config, out)
    from commonhold.mount import main

    main.run(config, os.environ)
    return 0


def _config(args: argparse.Namespace) -> "Config":
    from commonhold.mount.config import Config, read

    path = args.config or (MOUNT_CONFIG if MOUNT_CONFIG.exists() else None)
    config = Config() if path is None else read(path)
    if args.repo is not None:
        config = replace(config, node=Path(args.repo).absolute())
    return config if args.at is None else replace(config, at=args.at.absolute(), shown=())


def _end(config: "Config", out: Output) -> int:
    from commonhold.mount.ending import end

    keeper = end(config)
    at = shown(str(config.at))
    said = f"nothing serves {at}" if keeper is None else f"unmounted: {at}; its keeper, process {keeper}, has ended"
    out.result({"at": str(config.at), "keeper": keeper}, said)
    return 0


def _link(name: str, out: Output) -> int:
    """A link in the caller's home directory to their files."""
    target = mounted.own_tree(mounted.here())
    if target is None:
        hint = "sudo systemctl enable --now commonhold-mount"
        raise HoldError("link", Kind.UNREACHABLE, "mount", "there is none on this host", hint=hint)
    home = os.environ.get("HOME")
    if not home:
        raise HoldError("link", Kind.USAGE, "$HOME", "not set, and the link would be made there", hint="set HOME")
    if name in ("", ".", "..") or "/" in name:
        raise HoldError("link", Kind.USAGE, shown(name), "not a name of a link", hint=f"hold mount --link {_LINK}")
    link = Path(home) / name
    with os_errors("link", shown(str(link))):
        made = not (link.is_symlink() and link.readlink() == target)
        if made:
            link.symlink_to(target)
    said = "made" if made else "there already"
    row = {"link": str(link), "target": str(target), "made": made}
    out.result(row, f"{said}: {shown(str(link))} leads to {shown(str(target))}")
    return 0
