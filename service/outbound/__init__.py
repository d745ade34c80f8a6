"""The one way out: what is fetched, sent and connected to by this server passes its policy."""
