"""Who may use the page: addresses that the headers Host and Origin may name."""

import asyncio
import socket

import pytest

pytest.importorskip(
    "starlette", reason="needs the extra: python -m pip install -e '.[explore]'"
)

from stylegan_jax.explorer import guard  # noqa: E402


@pytest.mark.parametrize(
    ("host", "listen", "expected"),
    [
        ("127.0.0.1:7860", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("localhost:8000", "127.0.0.1", True),  # through a tunnel
        ("LOCALHOST", "127.0.0.1", True),
        ("[::1]:7860", "::1", True),
        ("evil.example:7860", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("evil.example@127.0.0.1.evil.example", "127.0.0.1", False),
        ("192.168.0.7:7860", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("[", "127.0.0.1", False),
        ("192.168.0.7:7860", "0.0.0.0", True),
        ("[fe80::1]:7860", "0.0.0.0", True),
        ("localhost", "0.0.0.0", True),
        (f"{socket.gethostname()}:7860", "0.0.0.0", True),
        ("evil.example", "0.0.0.0", False),
        ("Box.Example:7860", "box.example", True),
        ("evil.example", "box.example", False),
    ],
)
def test_hosts(host, listen, expected):
    assert guard.is_expected(host, listen) is expected


def ask(method="GET", scope="http", **headers):
    """Return the status and the headers of an answer to a request."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": scope,
        "method": method,
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    asyncio.run(guard.Guard(app, "127.0.0.1")(scope, None, send))
    return (sent[0]["status"], dict(sent[0]["headers"])) if sent else None


HOST = "127.0.0.1:7860"


@pytest.mark.parametrize(
    ("method", "host", "origin", "status"),
    [
        ("GET", HOST, None, 200),
        ("GET", "evil.example", None, 403),
        ("POST", HOST, f"http://{HOST}", 200),
        ("POST", HOST, f"https://{HOST}", 200),
        ("POST", HOST, None, 403),
        ("POST", HOST, "null", 403),
        ("POST", HOST, "http://127.0.0.1:1234", 403),
        ("POST", HOST, "http://evil.example", 403),
        ("POST", HOST, f"http://evil.example/{HOST}", 403),
        ("POST", "evil.example", "http://evil.example", 403),
        ("DELETE", HOST, None, 403),
    ],
)
def test_requests(method, host, origin, status):
    headers = {"host": host} | ({} if origin is None else {"origin": origin})
    assert ask(method, **headers)[0] == status


def test_pages_get_a_policy():
    _, headers = ask(host=HOST)
    policy = headers[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "http" not in policy and "unsafe" not in policy


def test_websockets_get_no_answer():
    assert ask(scope="websocket", host=HOST) is None
