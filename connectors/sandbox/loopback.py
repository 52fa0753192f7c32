"""HTTP/1.1 on this machine only: connections are kept alive, can be cut, and end when the server does.

Werkzeug's own handler closes every connection and waits 10 ms after each reply; vendors do neither.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any, TypeAlias, cast

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request, Response

Answer: TypeAlias = Callable[[Request], Response | None]
"""What serves a request; None closes the connection without a reply."""


class Exchange(WSGIRequestHandler):
    """One connection: reads a request whole, answers it whole, waits for the next."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # with Nagle every call on a kept connection takes 40 ms
    wbufsize = -1  # headers and body in one packet

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        body = environ["wsgi.input"].read(self.body_length(environ))
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        reply = cast("Loopback", self.server).answer(Request(environ))
        if reply is None:
            self.close_connection = True
            return
        self.reply(environ, reply)

    @staticmethod
    def body_length(environ: dict[str, Any]) -> int:
        chunked = environ.get("wsgi.input_terminated", False)
        return -1 if chunked else int(environ.get("CONTENT_LENGTH") or 0)

    def reply(self, environ: dict[str, Any], reply: Response) -> None:
        """Status, headers and body, always with the body's length so that the connection can stay."""
        body = reply.get_data()
        self.send_response(reply.status_code)
        for name, value in reply.get_wsgi_headers(environ):
            if name.lower() != "content-length":
                self.send_header(name, value)
        if reply.status_code not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and reply.status_code not in (204, 304):
            self.wfile.write(body)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  werkzeug's name
        """Calls are kept by the vendor that got them, not printed."""


class Loopback(ThreadedWSGIServer):
    """A threaded server on 127.0.0.1 that leaves no thread and no socket behind."""

    daemon_threads = False

    def __init__(self, port: int, answer: Answer) -> None:
        self.answer = answer
        self.open: set[socket.socket] = set()
        super().__init__("127.0.0.1", port, app=Response(), handler=Exchange)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Close every connection, so that the threads waiting for a next request end."""
        for connection in list(self.open):
            with suppress(OSError):  # closed by the caller in this very moment
                connection.shutdown(socket.SHUT_RDWR)
