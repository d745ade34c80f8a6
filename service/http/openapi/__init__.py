"""The OpenAPI document: made by FastAPI from the routes, and shown as a page."""
