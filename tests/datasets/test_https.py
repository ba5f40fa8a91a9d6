"""Downloads from an https server that misbehaves: no bad file is left, no good one replaced."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path

import keras_layout
import numpy as np
import pytest
from keras_layout import IDX_FILES, idx_bytes, npz_bytes, pinned_mnist, small_arrays
from tls_server import serving

from fastmlp.datasets import https, pinned
from fastmlp.datasets.loading import load
from fastmlp.datasets.pinned import PINNED
from fastmlp.exceptions import DataFormatError

GOOD = npz_bytes(small_arrays())
OLD = b"half a file"


def head(status="200 OK", **headers):
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode()


def body(content, **headers):
    return head(Content_Length=len(content), **headers) + content


# --- What the server does; each is one answer to one request


def good(connection, path):
    connection.sendall(body(GOOD))


def truncated(connection, path):
    connection.sendall(body(GOOD)[:-100])


def truncated_without_length(connection, path):
    connection.sendall(head() + GOOD[:-100])


def length_too_small(connection, path):
    connection.sendall(head(Content_Length=len(GOOD) - 9) + GOOD)


def length_too_large(connection, path):
    connection.sendall(head(Content_Length=len(GOOD) + 9) + GOOD)


def length_nonsense(connection, path):
    connection.sendall(head(Content_Length="-3, many") + GOOD[:-1])


def too_much(connection, path):
    connection.sendall(head())
    while True:
        connection.sendall(bytes(1 << 16))


def stalls_before_the_answer(connection, path):
    wait_for_the_client_to_leave(connection)


def stalls_in_the_body(connection, path):
    connection.sendall(body(GOOD)[:-100])
    wait_for_the_client_to_leave(connection)


def wait_for_the_client_to_leave(connection):
    while connection.recv(4096):
        pass


def drips(connection, content):
    for byte in content:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def drips_the_body(connection, path):
    connection.sendall(head(Content_Length=len(GOOD)))
    drips(connection, GOOD)


def drips_the_headers(connection, path):
    drips(connection, head(X=1000 * "x"))


def wrong_file(connection, path):
    connection.sendall(body(GOOD[:-1] + bytes([GOOD[-1] ^ 1])))


def other_good_file(connection, path):
    connection.sendall(body(npz_bytes(small_arrays(seed=5))))


def page(connection, path):
    connection.sendall(body(b"<html>Please log in</html>", Content_Type="text/html"))


def nothing(connection, path):
    connection.sendall(body(b""))


def to_http(connection, path):
    connection.sendall(head("302 Found", Location="http://localhost/mnist.npz"))


def to_a_file(connection, path):
    connection.sendall(head("302 Found", Location="file:///etc/hostname"))


def in_a_circle(connection, path):
    connection.sendall(head("302 Found", Location="/again.npz", Content_Length=0))


def redirect_with_endless_body(connection, path):
    connection.sendall(head("302 Found", Location="/again.npz"))
    while True:
        connection.sendall(bytes(1 << 16))


def missing(connection, path):
    connection.sendall(head("404 Not Found", Content_Length=0))


def broken(connection, path):
    connection.sendall(head("500 Internal Server Error", Content_Length=0))


def garbage_gzip(connection, path):
    connection.sendall(body(GOOD, Content_Encoding="gzip"))


def gzip_bomb(connection, path):
    packed = zlib.compressobj(9, wbits=31)
    bomb = packed.compress(bytes(1 << 22)) + packed.flush()
    connection.sendall(body(bomb, Content_Encoding="gzip"))


def garbage_chunks(connection, path):
    connection.sendall(head(Transfer_Encoding="chunked") + b"zz\r\n" + GOOD)


def endless_headers(connection, path):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: " + bytes(1000).replace(b"\0", b"x") + b"\r\n")


def endless_continue(connection, path):
    while True:
        connection.sendall(64 * b"HTTP/1.1 100 Continue\r\n\r\n")


def no_http(connection, path):
    connection.sendall(b"SSH-2.0-OpenSSH\r\n" + bytes(100))


def resets(connection, path):
    connection.sendall(body(GOOD)[:-100])
    # No last words: the kernel answers with a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hangs_up(connection, path):
    connection.shutdown(socket.SHUT_RDWR)


MISBEHAVIOURS = {
    truncated: "(?s)cannot download .*(IncompleteRead|broken)|does not match",
    truncated_without_length: "does not match",
    length_too_small: "does not match",
    length_too_large: "IncompleteRead|does not match",
    length_nonsense: "cannot download|does not match",
    too_much: "expected at most 40000 bytes, found more",
    stalls_before_the_answer: "timed out",
    stalls_in_the_body: "timed out",
    drips_the_body: "expected at least 1000000 bytes a second, found fewer",
    drips_the_headers: "expected at least 1000000 bytes a second, found fewer",
    wrong_file: "does not match",
    other_good_file: "does not match",
    page: "does not match",
    nothing: "does not match",
    to_http: "expected https, found another protocol: .*http://localhost/mnist.npz",
    to_a_file: "expected https, found another protocol: .*file:///etc/hostname",
    in_a_circle: "Exceeded 5 redirects",
    redirect_with_endless_body: "Exceeded 5 redirects",
    missing: "404 Client Error",
    broken: "500 Server Error",
    garbage_gzip: "expected the file as it is, found content encoding 'gzip'",
    gzip_bomb: "expected the file as it is, found content encoding 'gzip'",
    garbage_chunks: "cannot download .*(InvalidChunkLength|broken)",
    endless_headers: "got more than 100 headers",
    endless_continue: "expected at most 40000 bytes, found more",
    no_http: "cannot download .*(BadStatusLine|aborted)",
    resets: "cannot download",
    hangs_up: "cannot download",
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, an MNIST of a few rows, and small limits."""
    for variable in ("FASTMLP_DATA", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setitem(PINNED, "mnist", pinned_mnist())
    monkeypatch.setattr(https, "MIN_BYTES_PER_SECOND", 1_000_000)
    monkeypatch.setattr(https, "MAX_BYTES", 40_000)
    monkeypatch.setattr(https, "OVERHEAD_BYTES", 200_000)
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def little_patience(monkeypatch):
    monkeypatch.setattr(https, "TIMEOUT_SECONDS", 0.5)


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """serve(answer) is a context in which downloads come from a server with this answer."""

    def serve(answer, **options):
        context = serving(answer, tmp_path, **options)
        url, authority = context.__enter__()
        monkeypatch.setattr(pinned, "BASE_URL", url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
        contexts.append(context)

    contexts = []
    yield serve
    for context in contexts:
        context.__exit__(None, None, None)


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_server_that_behaves_is_believed(cache, serve):
    serve(good)
    data = load("mnist", cache_dir=cache)
    np.testing.assert_array_equal(data.y_train, small_arrays()["y_train"])
    assert contents(cache) == {"mnist.npz": GOOD}


@pytest.mark.parametrize("answer", MISBEHAVIOURS, ids=lambda answer: answer.__name__)
def test_a_server_that_misbehaves_leaves_the_cache_as_it_was(answer, cache, serve, request):
    if answer.__name__.startswith(("stalls", "drips")):
        request.getfixturevalue("little_patience")
    serve(answer)
    (cache / "mnist.npz").write_bytes(OLD)
    with pytest.raises((OSError, DataFormatError), match=MISBEHAVIOURS[answer]) as caught:
        load("mnist", cache_dir=cache)
    assert type(caught.value) in (OSError, DataFormatError)
    assert "To supply it yourself" in str(caught.value)
    assert contents(cache) == {"mnist.npz": OLD}


def test_an_empty_cache_stays_empty(cache, serve):
    serve(wrong_file)
    with pytest.raises(DataFormatError, match="does not match"):
        load("mnist", cache_dir=cache)
    assert contents(cache) == {}


def test_a_certificate_that_nobody_vouches_for_is_refused(cache, serve, monkeypatch):
    serve(good)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        load("mnist", cache_dir=cache)
    assert contents(cache) == {}


def test_a_certificate_of_another_host_is_refused(cache, serve):
    serve(good, host="other.example")
    with pytest.raises(OSError, match=r"CERTIFICATE_VERIFY_FAILED|doesn't match"):
        load("mnist", cache_dir=cache)
    assert contents(cache) == {}


@pytest.mark.parametrize("answer", [no_http, stalls_before_the_answer], ids=lambda a: a.__name__)
def test_a_server_without_tls_is_refused(answer, cache, serve, little_patience):
    serve(answer, tls=False)
    with pytest.raises(OSError, match=r"cannot download .*(SSL|timed out)"):
        load("mnist", cache_dir=cache)
    assert contents(cache) == {}


def test_a_good_file_is_not_asked_for_again(cache, serve):
    asked = []

    def lies(connection, path):
        asked.append(path)
        wrong_file(connection, path)

    serve(lies)
    (cache / "mnist.npz").write_bytes(GOOD)
    load("mnist", cache_dir=cache)
    assert asked == []
    assert contents(cache) == {"mnist.npz": GOOD}


def test_good_files_of_a_folder_outlive_a_lie_about_another(cache, serve, monkeypatch):
    arrays = small_arrays()
    packed = {f"{IDX_FILES[name]}.gz": gzip.compress(idx_bytes(a)) for name, a in arrays.items()}
    fashion = replace(
        PINNED["fashion"],
        files={f"fashion-mnist/{f}": hashlib.sha256(c).hexdigest() for f, c in packed.items()},
        arrays=pinned_mnist().arrays,
    )
    monkeypatch.setitem(PINNED, "fashion", fashion)
    first, *_, last = packed

    def one_lie(connection, path):
        name = path.rpartition("/")[2]
        connection.sendall(body(packed[name if name != last else first]))

    serve(one_lie)
    (cache / "fashion-mnist").mkdir()
    (cache / "fashion-mnist" / last).write_bytes(OLD)
    for _ in range(2):
        with pytest.raises(DataFormatError, match=f"refused .*{last}"):
            load("fashion", cache_dir=cache)
        assert contents(cache) == packed | {last: OLD}


EIGHT = """
import json, os, sys
from keras_layout import pinned_mnist
from fastmlp.datasets import load, pinned
from fastmlp.exceptions import DataFormatError
import fastmlp.datasets.https, pooch
pinned.PINNED["mnist"], pinned.BASE_URL = pinned_mnist(), sys.argv[1]
begin, go = os.pipe()
children = []
for i in range(8):
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(begin, 1)  # until the parent closes its end: all at once
        try:
            load("mnist", cache_dir=sys.argv[2])
        except (OSError, DataFormatError):
            os._exit(7)
        except BaseException:
            os._exit(1)
        os._exit(0)
    children.append(child)
os.close(go)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
"""


@pytest.mark.parametrize("flaky", [False, True])
def test_eight_processes_at_once_end_with_one_good_file(flaky, cache, serve, tmp_path):
    lock, answers = threading.Lock(), [truncated, good, wrong_file, good, missing]

    def answer(connection, path):
        with lock:
            next_answer = answers.pop(0) if flaky and answers else good
        next_answer(connection, path)

    serve(answer)
    path = os.pathsep.join([str(Path(keras_layout.__file__).parent), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-c", EIGHT, pinned.BASE_URL, str(tmp_path / "new" / "cache")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert result.returncode == 0, result.stderr
    codes = json.loads(result.stdout)
    assert set(codes) <= ({0, 7} if flaky else {0}) and 0 in codes
    assert contents(tmp_path / "new") == {"mnist.npz": GOOD}
