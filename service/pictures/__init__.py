"""Pictures of results: SVG and PNG, drawn from the same chart description as in browsers."""
