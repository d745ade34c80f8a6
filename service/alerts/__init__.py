"""Alerts: questions with a condition, and whoever is told when it is fulfilled."""
