"""What we ask of the machine: files, memory, users, where a repository is."""
