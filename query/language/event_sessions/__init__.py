"""Sessions of events as properties that filters and groups of a question name."""
