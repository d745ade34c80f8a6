"""Bodies and answers about cohorts."""
