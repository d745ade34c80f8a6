"""``acumen dashboards``: dashboards and their saved queries as files, as one keeps them in git."""
