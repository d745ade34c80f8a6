"""Bodies and answers of webhooks, alerts and reports."""
