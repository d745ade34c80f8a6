"""Models of pipelines."""
