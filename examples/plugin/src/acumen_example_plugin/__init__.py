"""Plugins for Acumen, as an example."""
