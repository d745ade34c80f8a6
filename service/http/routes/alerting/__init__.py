"""Routes of webhooks, alerts and reports."""
