"""Routes of those who manage a project, an organisation or the server."""
