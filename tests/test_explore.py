"""explore as users start it, and its messages."""

import importlib.util
import re
import signal
import urllib.request

import jax
import pytest

from stylegan_jax import explore
from stylegan_jax.explorer.renderer import DoesNotFit, Renderer
from stylegan_jax.networks import file
from tests import tiny
from tests.networks import small

needs_extra = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in explore.PACKAGES),
    reason="needs the extra: python -m pip install -e '.[explore]'",
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    file.save(small.network("stylegan1"), path)
    return path


@needs_extra
def test_the_page_is_served_until_ctrl_c(saved):
    process = tiny.start(
        "stylegan_jax.explore", f"--network={saved}", "--port=0", "--host=localhost"
    )
    lines = []
    while not (found := re.search(r"is at (http://\S+/)$", "".join(lines).strip())):
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    assert "ready after" in "".join(lines) and "WARNING" not in "".join(lines)
    with urllib.request.urlopen(found[1], timeout=30) as page:
        assert b"<title>stylegan_jax</title>" in page.read()
    process.send_signal(signal.SIGINT)
    out, err = tiny.finish(process)
    assert out == "ended\n" and err == ""


def test_the_extra_is_named(run_main, monkeypatch):
    find = importlib.util.find_spec
    without = lambda name: None if name == "uvicorn" else find(name)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", without)
    monkeypatch.setattr(explore, "PACKAGES", ("json", "uvicorn"))
    with pytest.raises(ValueError, match=r"pip install -e '\.\[explore\]'") as raised:
        run_main(explore, "--network=smileys64")
    assert "explore needs packages that are not installed: uvicorn; run" in str(
        raised.value
    )


@needs_extra
def test_wrong_networks_and_addresses(run_main, saved):
    with pytest.raises(ValueError, match=r"smiley32 does not exist \(did you mean"):
        run_main(explore, "--network=smiley32", "--port=0")
    with pytest.raises(ValueError, match=r"resolution \(=64\) must be 4, 8, 16"):
        run_main(explore, f"--network={saved}", "--port=0", "--resolution=64")
    from stylegan_jax.explorer import server

    with server.listening("127.0.0.1", 0) as opened:
        port = opened.getsockname()[1]
        with pytest.raises(ValueError, match=rf"`--port` \(={port}\): the port is in"):
            run_main(explore, "--network=/no/network", f"--port={port}")


@needs_extra
@pytest.mark.parametrize(
    "error", [MemoryError(), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GiB")]
)
def test_a_network_that_is_too_large(run_main, saved, monkeypatch, error):
    def compile(renderer, report):
        raise error

    monkeypatch.setattr(Renderer, "compile", compile)
    with pytest.raises(
        DoesNotFit, match="does not fit into memory; close other programs"
    ):
        run_main(explore, f"--network={saved}", "--port=0")
