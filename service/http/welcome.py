"""The page for browsers at the server's root."""

from __future__ import annotations

from html import escape

from starlette.responses import Response

from service.version import version

CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Acumen</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}}
code{{background:#eee;padding:.1em .3em}}</style></head>
<body><h1>Acumen {version}</h1>
<p>This is an event-analytics API. It answers programs; there is nothing to click here.</p>
<ul><li><a href="/docs">The documentation of the API</a> shows every call;
<a href="/openapi.json">openapi.json</a> is the same for programs.</li>
<li><a href="/health">health</a> and <a href="/ready">ready</a> tell how the server is.</li>
<li>The README and the folder <code>docs</code> of the source explain the rest.</li></ul>
<p>Next: send an event with the project's write key, which <code>acumen projects list</code> prints.</p>
<pre>curl -H 'Authorization: WRITE_KEY' -d '{{"page":"/"}}' \\
  ORIGIN/3.0/projects/PROJECT_ID/events/visits</pre>
</body></html>
"""


def page() -> Response:
    """What the server is, its version and the next step; the page loads nothing further."""
    headers = {"content-security-policy": CSP, "x-content-type-options": "nosniff", "vary": "Accept"}
    return Response(_PAGE.format(version=escape(version())), 200, headers, "text/html; charset=utf-8")
