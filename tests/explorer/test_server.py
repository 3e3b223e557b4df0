"""The server over HTTP: pictures, files, messages, and what it refuses."""

import http.client
import io
import json
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip(
    "uvicorn", reason="needs the extra: python -m pip install -e '.[explore]'"
)

from stylegan_jax.explorer import files, server  # noqa: E402
from stylegan_jax.explorer import picture as pictures  # noqa: E402
from stylegan_jax.explorer.picture import Picture, Seed, Style  # noqa: E402
from tests.explorer.served import served  # noqa: E402

PAGE = Path(server.__file__).with_name("page")


@pytest.fixture(scope="module")
def place(renderer):
    with served(renderer) as address:
        yield urlsplit(address).netloc


def ask(place, method, path, body=None, headers=None):
    """Return the status, the headers and the content of an answer."""
    connection = http.client.HTTPConnection(place, timeout=60)
    origin = {} if method == "GET" else {"Origin": f"http://{place}"}
    connection.request(method, path, body, origin | (headers or {}))
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def picture(seed=5, **fields):
    return Picture(Style(Seed(seed), (1.0, 0.0)), **fields)


def request(shown, number=1, client="test-a"):
    value = {"client": client, "number": number, "picture": pictures.to_json(shown)}
    return json.dumps(value)


def error(answer):
    assert answer[0] in (400, 413), answer
    return json.loads(answer[2])["error"]


def test_a_picture_has_the_number_of_its_request(place, renderer):
    shown = picture(noise="random", noise_seed=3)
    status, headers, content = ask(place, "POST", "/draw", request(shown, 17))
    assert (status, headers["x-number"]) == (200, "17")
    pixels = np.frombuffer(content, np.uint8).reshape(16, 16, 3)
    np.testing.assert_array_equal(pixels, renderer.draw(shown))


def test_an_older_number_is_not_drawn(place):
    assert ask(place, "POST", "/draw", request(picture(), 9, "b"))[0] == 200
    status, headers, content = ask(place, "POST", "/draw", request(picture(), 8, "b"))
    assert (status, headers["x-number"], content) == (204, "8", b"")


def test_files(place, renderer):
    body = json.dumps(pictures.to_json(picture()))
    assert ask(place, "POST", "/image", body)[2] == files.image(renderer, picture())
    saved = ask(place, "POST", "/latent", body)[2]
    with np.load(io.BytesIO(saved)) as arrays:
        np.testing.assert_array_equal(arrays["ws"], renderer.styles(picture()))
    loaded = json.loads(ask(place, "POST", "/load?name=a.npz", saved)[2])
    assert loaded["picture"] == pictures.to_json(picture())


def test_the_network_is_described(place, renderer):
    assert json.loads(ask(place, "GET", "/network")[2]) == renderer.facts()


def test_the_page_names_only_its_own_files(place):
    """It works without the internet, and no other server learns of it."""
    for file in PAGE.iterdir():
        path = "/" if file.name == "index.html" else f"/{file.name}"
        status, headers, content = ask(place, "GET", path)
        assert status == 200 and content == file.read_bytes()
        assert headers["content-type"].startswith("text/")
        assert headers["content-security-policy"].startswith("default-src 'none'")
        text = content.decode()
        assert not re.search(r"(?:https?:)?//[a-z]", text.replace("// ", "")), path
        for name in re.findall(r"""(?:src|href|from)[ =]["']([^"']+)""", text):
            assert name == "data:," or (PAGE / name).exists(), (path, name)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/draw", b"\xff", "the request must be JSON"),
        ("/draw", b"[" * 100_000, "the request must be JSON"),
        ("/draw", "[]", "the request must be a JSON object"),
        ("/draw", request(picture(), -1), "`number` must be a whole number"),
        ("/draw", request(picture(), True), "`number` must be a whole number"),
        ("/draw", request(picture(), 1, "a b"), "`client` must be a name of up to 64"),
        ("/draw", request(picture(noise="x")), "`noise` (='x') must be one of"),
        ("/draw", request(picture(seed=-1)), "`seed` (=-1) must be a whole number"),
        ("/image", "{}", "`picture` must be an object with"),
        ("/latent", "{}", "`picture` must be an object with"),
        ("/load?name=my%20file.npz", b"no array", "`file` (=my file.npz) cannot be"),
    ],
)
def test_wrong_requests_are_explained(place, path, body, message):
    assert message in error(ask(place, "POST", path, body))


@pytest.mark.parametrize("path", ["/draw", "/image", "/latent", "/load"])
def test_large_requests_are_refused(place, path):
    answer = ask(place, "POST", path, bytes(files.MAX_BYTES + 1))
    assert answer[0] == 413 and "is larger than 8,388,608 bytes" in error(answer)


def test_a_failure_is_told_without_details(place, renderer, monkeypatch, capfd):
    def fail(picture):
        raise RuntimeError("a secret path")

    monkeypatch.setattr(renderer, "draw", fail)
    status, _, content = ask(place, "POST", "/draw", request(picture(), 1, "fails"))
    assert (status, json.loads(content)) == (
        500,
        {"error": "the program failed; its terminal shows why"},
    )
    monkeypatch.undo()
    assert ask(place, "POST", "/draw", request(picture(), 2, "fails"))[0] == 200


def test_a_full_disk_is_told(place, monkeypatch):
    def load(*_):
        raise OSError(28, "No space left on device", "/tmp/x")

    monkeypatch.setattr(files, "load", load)
    assert error(ask(place, "POST", "/load", b"x")) == "/tmp/x: No space left on device"


def test_other_sites_are_refused(place):
    evil = {"Origin": "http://evil.example"}
    assert ask(place, "POST", "/draw", request(picture(), 99), evil)[0] == 403
    status, _, content = ask(place, "GET", "/network", headers={"Host": "evil.example"})
    assert status == 403 and b"'evil.example', which is not its address" in content


@pytest.mark.parametrize("path", ["/nothing", "/../server.py", "/%2e%2e/server.py"])
def test_there_are_no_other_files(place, path):
    assert ask(place, "GET", path)[0] == 404


def test_ports_and_addresses_that_cannot_be_used():
    with (
        server.listening("127.0.0.1", 0) as opened,
        pytest.raises(ValueError, match="the port is in use, perhaps by another exp"),
        server.listening("127.0.0.1", opened.getsockname()[1]),
    ):
        pass
    cases = {
        "192.0.2.1": "this machine does not have the address",  # of documentation
        "no such.host": "is not a known address or host name",
    }
    for host, message in cases.items():
        with pytest.raises(ValueError, match=message), server.listening(host, 0):
            pass


def test_addresses_for_the_browser():
    for host, shown in (("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")):
        with server.listening(host, 0) as opened:
            port = opened.getsockname()[1]
            assert server.address(opened) == f"http://{shown}:{port}/"
    if socket.has_ipv6:
        with server.listening("::1", 0) as opened:
            assert server.address(opened).startswith("http://[::1]:")
