"""The caller's own writable tree: one volume, however many mounts and commands use it at once in this process."""

import grp
import os
import pwd
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from commonhold.agent.secrets import convergence_secret
from commonhold.api import BlockStore
from commonhold.errors import HoldError, Kind
from commonhold.identity.principal import NOBODY, named
from commonhold.trees import ROOT, Who
from commonhold.volume import tables
from commonhold.volume.nodevault import NodeVault
from commonhold.volume.volume import Volume, create

REALM = "local"  # as the mount's, unless that is configured

Name = Callable[[int, bytes], None]
Object = Callable[[int], None]


class Own:
    """What a user has at one node. `node` is where that listens, or would: the same in every shape."""

    def __init__(self, state: Path, node: Path, store: BlockStore, uid: int) -> None:
        self.state = state
        self.store = store
        self.uid = uid
        self.names: set[Name] = set()  # who wants to hear that what a name led to is over
        self.objects: set[Object] = set()  # and that attributes and contents are
        self.nameless: set[Object] = set()  # and who knows whether somebody still has what lost its last name
        self.orphans: list[int] = []  # objects without a name that a process that died has left: a mount may know them
        self.shooting = threading.Lock()  # one snapshot at a time
        self.writing = threading.Lock()  # and the chronicle
        self._node = str(node)
        self._lock = threading.Lock()
        self._volume: Volume | None = None

    @property
    def opened(self) -> Volume | None:
        """The volume, if it is open."""
        return self._volume

    def volume(self, owner: str | None = None) -> Volume:
        """The volume, opened if it is not. One that is not there yet is made for its owner; one that was made before
        its host had a realm comes to be of the owner's. BUSY, DENIED."""
        with self._lock:
            if self._volume is None:
                if not (self.state / tables.FILE).exists():
                    create(self.state, owner or self._owner(), self._node)
                vault = partial(NodeVault, self.store, self.secret())
                self._volume = Volume(self.state, self._node, vault, keep_orphans=True)
                self.orphans = self._volume.orphans()
                if self._volume.dirty_since is not None:
                    self.object(ROOT)  # by a process that died: whoever commits what is changed is to hear of it
            if owner is not None:
                _move_in(self._volume, owner)
            return self._volume

    def _owner(self) -> str:
        try:
            owner = named(os.fsencode(pwd.getpwuid(self.uid).pw_name), REALM)
        except KeyError:
            owner = None
        if owner is None:
            raise HoldError("open", Kind.USAGE, f"uid {self.uid}", "has no name that could be the owner of files")
        return owner

    def secret(self) -> bytes:
        """What its blocks are sealed under."""
        return convergence_secret(self.state)

    def who(self) -> Who:
        """Whose the caller's new files are: the tree's owner's, and of that user's own group."""
        owner = self.volume().attr(ROOT).owner
        try:
            group = grp.getgrgid(pwd.getpwuid(self.uid).pw_gid).gr_name
        except KeyError:
            return Who(owner, NOBODY)
        return Who(owner, named(os.fsencode(group), owner.rpartition("@")[2] or REALM) or NOBODY)

    # ── what mounts are told ──

    def name(self, parent: int, name: bytes) -> None:
        """A command has changed what a name leads to."""
        for tell in list(self.names):
            tell(parent, name)

    def object(self, number: int) -> None:
        """A command has changed an object."""
        for tell in list(self.objects):
            tell(number)

    def let_go(self, number: int) -> None:
        """A name of an object is gone. Where there are mounts they say when nobody needs it any more."""
        if not self.nameless:
            self.volume().forget([number])
        for tell in list(self.nameless):
            tell(number)

    def close(self) -> None:
        """See that everything is on disk, and close it."""
        with self._lock:
            volume, self._volume = self._volume, None
        if volume is not None:
            volume.close()


def _move_in(volume: Volume, owner: str) -> None:
    """A tree of `NAME@local` whose owner is NAME elsewhere was made before this host had a realm: it has that one now.
    Any other difference is another owner's."""
    name, _, realm = owner.rpartition("@")
    if realm != REALM and volume.attr(ROOT).owner == f"{name}@{REALM}":
        volume.rename_realm(REALM, realm)
