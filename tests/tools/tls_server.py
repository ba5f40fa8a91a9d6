"""A local https server for tests: every connection goes to one function, which may misbehave."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from processes import PATIENCE_SECONDS

Answer = Callable[[ssl.SSLSocket, str], None]
"""Gets the connection and the path that was asked for."""


@contextmanager
def serving(answer: Answer, folder: Path, *, host: str = "localhost", tls: bool = True) -> Iterator:
    """Yield the server's address and the certificate to trust, written into `folder`.

    The certificate is for `host`; without `tls` connections are given to `answer` as they come.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(
            target=_accept, args=(listener, context if tls else None, answer, ended)
        )
        thread.start()
        try:
            yield f"https://localhost:{listener.getsockname()[1]}/", folder / "ca.pem"
        finally:
            ended.set()
            thread.join()


def _accept(listener, context, answer, ended) -> None:
    """Serve one connection after the other, each in a thread of its own."""
    threads = []
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            connection, _ = listener.accept()
            connection.settimeout(PATIENCE_SECONDS)
            threads.append(threading.Thread(target=_serve, args=(connection, context, answer)))
            threads[-1].start()
    for thread in threads:
        thread.join()


def _serve(connection, context, answer) -> None:
    # A client that has given up is what most of these tests are about.
    with contextlib.suppress(OSError), connection:
        path = ""
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
            path = _read_request(connection)
        with connection:
            answer(connection, path)


def _read_request(connection: ssl.SSLSocket) -> str:
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(4096)
        if not received:
            raise ConnectionError("the client has gone")
        request += received
    return request.split()[1].decode()
