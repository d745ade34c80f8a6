"""Series: several named questions over the same intervals and groups, and what is computed from them."""
