"""The tender: looks after what users of this host keep on grids, while they are away. It can read none of it."""
