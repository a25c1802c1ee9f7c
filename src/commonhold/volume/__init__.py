"""A volume: a writable tree of files with one writer. Names and attributes in SQLite, contents in sealed blocks."""
