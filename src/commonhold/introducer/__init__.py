"""The introducer: a daemon that passes announcements on, and stores nothing for anybody."""
