"""Routes of cohorts."""
