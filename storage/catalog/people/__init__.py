"""People, their roles and sessions, one-time links, and the audit log."""
