"""The bodies of requests and answers of the management API, as pydantic's models."""
