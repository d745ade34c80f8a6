"""SQL of partial answers, which are kept and merged."""
