"""Download over https only, from a server that may stall, lie or never stop sending.

Requests checks certificates and follows redirects. The remaining gaps are closed here: a session
without a transport for other protocols cannot leave https, and the socket itself counts seconds and
bytes, so that it also gives up on a server that sends a byte now and then, or endless headers.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

MAX_BYTES = 64 << 20
TIMEOUT_SECONDS = 30.0
"""Timeout for a connection, and for the next bytes."""

MIN_BYTES_PER_SECOND = 4096
"""Minimum average speed; the first TIMEOUT_SECONDS are not counted."""

MAX_REDIRECTS = 5
OVERHEAD_BYTES = 1 << 20
"""Additional bytes allowed for headers and the like."""


def download_https(url: str, output_file: str, pooch: object = None) -> None:
    """Download `url` to `output_file`; a downloader for pooch.

    Raises
    ------
    OSError
        No https (nor a redirect's address), no answer, no trust, a refusal, an encoding, too many
        bytes or redirects, or too little speed. The file may have been written in part.
    """
    with requests.Session() as session:
        session.adapters.clear()
        session.mount("https://", _Adapter())
        session.max_redirects = MAX_REDIRECTS
        # Requests would read the body of a redirect, whatever its length, only to discard it.
        session.hooks["response"].append(_close_redirect)
        # Ask for the bytes as they are, because the checksum is that of the packed file.
        headers = {"Accept-Encoding": "identity"}
        try:
            response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
        except requests.exceptions.InvalidSchema as error:
            raise OSError(f"expected https, found another protocol: {error}") from error
        with response:
            response.raise_for_status()
            _write_body(response, output_file)


def _write_body(response: requests.Response, output_file: str) -> None:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":  # decoding would have no limit on the size of the result
        raise OSError(f"expected the file as it is, found content encoding {encoding[:40]!r}")
    with open(output_file, "wb") as file:
        for chunk in response.iter_content(1 << 16):
            file.write(chunk)
            if file.tell() > MAX_BYTES:
                raise OSError(f"expected at most {MAX_BYTES} bytes, found more")


def _close_redirect(response: requests.Response, **_: Any) -> None:
    if response.is_redirect:
        response.close()


class _ImpatientSocket(ssl.SSLSocket):
    """Socket that gives up on a server that is too slow or sends too much."""

    _begin: float | None = None
    _n_bytes = 0

    def recv_into(self, *args: Any, **options: Any) -> int:
        if self._begin is None:
            self._begin = time.monotonic()
        n_bytes = super().recv_into(*args, **options)
        self._n_bytes += n_bytes
        patience = TIMEOUT_SECONDS + self._n_bytes / MIN_BYTES_PER_SECOND
        if n_bytes and time.monotonic() - self._begin > patience:
            raise OSError(f"expected at least {MIN_BYTES_PER_SECOND} bytes a second, found fewer")
        if self._n_bytes > MAX_BYTES + OVERHEAD_BYTES:
            raise OSError(f"expected at most {MAX_BYTES} bytes, found more")
        return n_bytes


def _context() -> ssl.SSLContext:
    context = create_urllib3_context()
    context.sslsocket_class = _ImpatientSocket
    return context


class _Adapter(HTTPAdapter):
    """Transport for Requests with such sockets, directly or through a proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_context(), **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=_context(), **options)
