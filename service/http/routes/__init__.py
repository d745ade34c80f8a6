"""The routes of the API, one module for each kind: read the request, call, shape the answer."""
