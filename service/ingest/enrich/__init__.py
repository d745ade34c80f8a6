"""Enrichment: the add-ons of ``keen.addons``, which fill in what an event's own properties tell."""
