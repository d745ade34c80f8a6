"""Cohorts: named sets of actors, listed or by what they did; how their definitions are read."""
