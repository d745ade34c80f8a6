"""The OpenAPI document, which FastAPI builds from the routes, and the page that shows it."""
