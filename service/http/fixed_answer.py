"""A prepared answer that varies only in the date and the request's id."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

Headers = list[tuple[bytes, bytes]]


class FixedAnswer:
    """One status, some headers and a body; only the value of the last header, ``x-request-id``, varies."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self._status_line = STATUS_LINE[status]
        self._lines = _lines(headers)
        self._end = b"\r\n\r\n" + body
        self._closing_end = b"\r\nconnection: close" + self._end
        self._seen: Headers | None = None
        self._head = b""

    def text(self, default_headers: Headers, request_id: bytes, *, keep_alive: bool) -> bytes:
        """The whole answer as bytes, including the server's default headers."""
        if default_headers is not self._seen:
            # The server makes a new list once a second, for the date.
            self._seen = default_headers
            self._head = self._status_line + _lines(default_headers) + self._lines + b"x-request-id: "
        return self._head + request_id + (self._end if keep_alive else self._closing_end)


def _lines(headers: Headers) -> bytes:
    return b"".join(name + b": " + value + b"\r\n" for name, value in headers)
