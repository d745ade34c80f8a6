"""The pytest plugin: the fixture ``acumen_events`` captures what a program records, without a network."""
