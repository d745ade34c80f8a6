"""People: log-in, sessions, invitations, roles, passwords, second factors, and the audit log."""
