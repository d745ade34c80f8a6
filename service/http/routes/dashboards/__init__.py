"""Dashboards: their documents, the results of their tiles, and their shares."""
