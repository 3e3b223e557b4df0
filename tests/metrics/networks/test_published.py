"""Weights come from a file, the cache, or a download (from a server of the test)."""

import hashlib
import http.server
import socket
import threading

import pytest

from stylegan_jax.metrics.networks import downloads, published
from stylegan_jax.metrics.networks.published import WeightsNotFound

CONTENT = b"weights" * 500_000  # more than one piece
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends CONTENT at /whole, and less, other bytes or nothing elsewhere."""

    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        content = {"/other": CONTENT[::-1], "/short": CONTENT[:-1]}
        self.wfile.write(content.get(self.path, CONTENT))

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as started:
        started.requests = []
        thread = threading.Thread(target=started.serve_forever, args=(0.01,))
        thread.start()
        yield started
        started.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(published.CACHE_VARIABLE, str(tmp_path))
    return tmp_path / "detectors"


@pytest.fixture
def publish(server, monkeypatch):
    """Publish the weights "w" at a path of the server."""

    def make(path, port=None):
        url = f"http://127.0.0.1:{port or server.server_port}/{path}"
        entry = published.Published(
            f"w-{SHA256[:8]}.pth", url, SHA256[:8], ("w.pt", "w.safetensors")
        )
        monkeypatch.setitem(published.WEIGHTS, "w", entry)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        server.requests.clear()
        return entry

    return make


@pytest.mark.parametrize("path", ["whole", "unsized"])
def test_downloaded_once(cache, publish, server, path):
    entry, calls = publish(path), []
    for _ in range(2):
        found = published.find("w", progress=lambda *numbers: calls.append(numbers))
        assert found == cache / entry.file and found.read_bytes() == CONTENT
    assert server.requests == [f"/{path}"]
    assert list(cache.iterdir()) == [found]
    total = len(CONTENT) if path == "whole" else None
    assert calls[-1] == (len(CONTENT), total) and len(calls) > 2
    assert published.sha256(found) == SHA256


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("missing", "failed: .*Not Found"),
        ("other", f"SHA-256 begins with [0-9a-f]{{8}}, expected {SHA256[:8]}"),
        ("short", r"failed: .*IncompleteRead"),
    ],
)
def test_another_file_is_not_kept(cache, publish, path, match):
    entry = publish(path)
    with pytest.raises(WeightsNotFound, match=match) as caught:
        published.find("w")
    message = str(caught.value)
    assert entry.url in message and str(cache) in message
    assert "--detector=PATH" in message
    assert list(cache.iterdir()) == []


def test_offline(cache, publish):
    """No server listens at the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        entry = publish("whole", port=free.getsockname()[1])
        with pytest.raises(WeightsNotFound, match="refused") as caught:
            published.find("w")
    message = str(caught.value)
    assert f"Download {entry.url}" in message and str(cache) in message


def test_a_named_file_comes_first_then_the_cache(cache, publish, server, tmp_path):
    publish("whole")
    named = tmp_path / "mine.pth"
    named.write_bytes(b"mine")
    assert published.find("w", named) == named
    with pytest.raises(WeightsNotFound, match="no file .*other.pth"):
        published.find("w", tmp_path / "other.pth")
    with pytest.raises(WeightsNotFound, match="no file"):
        published.find("w", tmp_path)
    cache.mkdir()
    (cache / "w.safetensors").write_bytes(b"ours")
    assert published.find("w") == cache / "w.safetensors"
    assert server.requests == []
    with pytest.raises(
        ValueError, match=r"no weights 'x'; choose one of \['inception'"
    ):
        published.find("x")


def test_a_file_that_contradicts_its_name_is_refused(tmp_path, publish):
    entry = publish("whole")
    path = tmp_path / entry.file
    path.write_bytes(b"other")
    with pytest.raises(
        ValueError, match=f"that of the published file with {SHA256[:8]}"
    ):
        published.sha256(path)
    renamed = path.rename(tmp_path / "other.pth")
    assert published.sha256(renamed) == hashlib.sha256(b"other").hexdigest()


def test_the_default_cache_is_in_the_home_folder(monkeypatch):
    monkeypatch.delenv(published.CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    path = published.cache_folder()
    assert str(path) == "/home/someone/.cache/stylegan_jax/detectors"


@pytest.mark.parametrize("terminal", [True, False])
def test_the_progress_bar(monkeypatch, capsys, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    now = iter(range(0, 100, 4))
    monkeypatch.setattr(downloads.time, "monotonic", lambda: next(now))
    bar = downloads.Bar("w.pth")
    for done in (1, 2, 3, 4):
        bar(done * 10**6, 4 * 10**6)
    text = capsys.readouterr().err
    assert text.endswith("\n")
    if terminal:
        assert "\rdownloading w.pth: 2.0 MB of 4.0 MB, 50% [" + "#" * 15 in text
        assert text.count("\r") == 4
    else:
        lines = text.splitlines()  # at 12 s, and the end
        assert lines[0] == "downloading w.pth: 3.0 MB of 4.0 MB, 75%"
        assert lines[-1] == "downloading w.pth: 4.0 MB of 4.0 MB, 100%"
        assert len(lines) == 2
