"""The pages for people, as files that were built."""
