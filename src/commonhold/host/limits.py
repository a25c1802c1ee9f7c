"""What the system lets a process have."""

import resource


def allow_many_files() -> None:
    """Open as many files as we ever may: a tree being read or written takes a descriptor for each level of it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
