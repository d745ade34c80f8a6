"""Saved cohorts: their definitions, their size and their actors."""
