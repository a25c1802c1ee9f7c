"""Which mounts are ours, by what the kernel lists."""

from pathlib import Path

from commonhold.host.mounted import Mounted, mounted, own_tree

_OURS = "rw,nosuid,nodev,relatime shared:7 - fuse.commonhold hold-1.2.3 rw,user_id=0,group_id=0,allow_other"
_TREE = f"90 28 0:61 / /run/commonhold-mount/tree {_OURS}\n"
_HOLD = f"91 28 0:61 /hold /hold {_OURS}\n"
_DISK = "28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"


def test_every_place_is_found_with_what_is_there_and_by_which_version() -> None:
    assert mounted(_DISK + _TREE + _HOLD) == [
        Mounted(Path("/run/commonhold-mount/tree"), "/", "1.2.3"),
        Mounted(Path("/hold"), "/hold", "1.2.3"),
    ]


def test_what_a_user_mounted_is_not_believed_whatever_it_calls_itself() -> None:
    assert mounted(_HOLD.replace("user_id=0", "user_id=1000")) == []
    assert mounted(_HOLD.replace("user_id=0", "user_id=1000,fsname=user_id=0")) == []


def test_what_something_else_covers_is_not_there() -> None:
    assert mounted(_HOLD + "92 28 254:1 /x /hold rw - ext4 /dev/vda1 rw\n") == []


def test_a_place_may_have_blanks_in_its_name() -> None:
    assert mounted(_HOLD.replace(" /hold /hold ", r" /hold /our\040files ")) == [
        Mounted(Path("/our files"), "/hold", "1.2.3")
    ]


def test_everybodys_own_files_are_found_by_the_shortest_way() -> None:
    places = mounted(_TREE + _HOLD)
    assert own_tree(places) == Path("/hold/me")
    assert own_tree(places[:1]) == Path("/run/commonhold-mount/tree/hold/me")
    assert own_tree([]) is None
