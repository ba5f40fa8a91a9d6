"""The service of docs/guide/serving.md, run by gunicorn as the page says."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pages import BLOCK

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "serving.md"


def answer(port, rows):
    """Status and content of the service's answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/predict", json.dumps({"rows": rows}), headers)
    response = connection.getresponse()
    content = json.load(response)
    connection.close()
    return response.status, content


@pytest.mark.soak
def test_forked_workers_answer_and_refuse_what_does_not_fit(tmp_path, monkeypatch):
    if not PAGE.exists():
        pytest.skip("no docs beside the tests")
    for package in ("fastapi", "gunicorn", "uvicorn"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    saving, app = [block["code"] for block in BLOCK.finditer(PAGE.read_text())][:2]
    exec(saving, {})
    (tmp_path / "app.py").write_text(app)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "app:app --preload --workers 2 --worker-class uvicorn.workers.UvicornWorker"
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *command.split(), "--bind", f"127.0.0.1:{port}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for _ in range(300):
            try:
                status, content = answer(port, [[5.1, 3.5, 1.4, 0.2]])
                break
            except ConnectionError:
                assert server.poll() is None, server.stderr.read()
                time.sleep(0.1)
        assert status == 200 and content["classes"] == ["setosa", "versicolor", "virginica"]
        assert content["probabilities"][0][0] > 0.9
        assert answer(port, [[5.1, 3.5]])[0] == 422
        # Both workers answer many requests, and the same.
        assert all(answer(port, [[5.1, 3.5, 1.4, 0.2]]) == (200, content) for _ in range(20))
    finally:
        server.terminate()
        server.communicate(timeout=30)
