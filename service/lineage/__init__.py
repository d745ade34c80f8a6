"""Lineage: what each of a project's definitions reads."""
