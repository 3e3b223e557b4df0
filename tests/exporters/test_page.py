"""The static page: what it consists of, and that it draws what `generate` draws."""

import dataclasses
import functools
import hashlib
import http.server
import io
import json
import re
import shutil
import subprocess
import tarfile
import threading

import numpy as np
import pytest
from etils import epath

from stylegan_jax.exporters import page
from tests import chromium
from tests.networks import small

RUNTIME = {f"{i}.mjs": f"file {i}".encode() for i in range(3)}


@pytest.fixture
def runtime_files(monkeypatch):
    """Replace the files of the runtime by small ones."""
    digests = {n: hashlib.sha256(data).hexdigest() for n, data in RUNTIME.items()}
    monkeypatch.setattr(page, "RUNTIME_FILES", digests)


def archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as out:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/dist/{name}")
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def npm(monkeypatch):
    """Replace npm; return the list of its calls, and a dict of what it answers."""
    calls, answer = [], {"archive": archive(RUNTIME), "stderr": ""}

    def run(command, **options):
        calls.append(command)
        if answer["archive"]:
            folder = command[-1].removeprefix("--pack-destination=")
            (epath.Path(folder) / "runtime.tgz").write_bytes(answer["archive"])
        return subprocess.CompletedProcess(command, 1, "", answer["stderr"])

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    return calls, answer


def test_the_directory_of_a_page(runtime_files, npm, tmp_path):
    calls, answer = npm
    out, said = epath.Path(tmp_path / "page"), []
    g = small.network("stylegan2", ("a", "b"))
    page.write(g, out, said.append)
    files = [p for p in (tmp_path / "page").rglob("*") if p.is_file()]
    files = sorted(str(p.relative_to(tmp_path / "page")) for p in files)
    assert files == sorted(
        ["index.html", "mapping.onnx", "network.json", "synthesis.onnx"]
        + [f"ort/{name}" for name in RUNTIME]
    )
    assert calls[0][1:3] == ["pack", page.RUNTIME]
    facts = json.loads((out / "network.json").read_text())
    assert facts["classes"] == ["a", "b"] and facts["size"] == "16×16"
    assert facts["style_groups"] == {"coarse": [0, 1], "middle": [2, 3], "fine": [4, 5]}
    assert "http.server" in said[-1]
    # The runtime is used again, and no longer asked for.
    answer["archive"] = None
    page.write(g, out, said.append)
    assert len(calls) == 1


def test_the_page_names_nothing_elsewhere():
    text = page.template().decode()
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    assert "default-src 'self'" in text


@pytest.mark.parametrize("family", ["stylegan1", "stylegan2"])
def test_small_networks_have_a_group_a_resolution(family):
    g = small.network(family)
    generator, lod = g.generator.clone(resolution=8), type(g.lod)(8)
    g = dataclasses.replace(g, generator=generator, lod=lod)
    assert list(page.facts(g)["style_groups"]) == ["4", "8"]


def test_without_npm(runtime_files, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"npm is not installed: .*, or put the files"):
        page.write(small.network(), epath.Path(tmp_path / "page"), print)
    assert not list(tmp_path.iterdir())


def test_without_a_connection(runtime_files, npm, tmp_path):
    npm[1].update(archive=None, stderr="npm error ENOTFOUND")
    with pytest.raises(ConnectionError, match="failed: npm error ENOTFOUND; check the"):
        page.write(small.network(), epath.Path(tmp_path / "page"), print)
    assert not list(tmp_path.iterdir())


def test_a_runtime_that_was_changed(runtime_files, npm, tmp_path):
    npm[1]["archive"] = archive(RUNTIME | {"1.mjs": b"something else"})
    with pytest.raises(ValueError, match="1.mjs that npm downloaded is not that of"):
        page.write(small.network(), epath.Path(tmp_path / "page"), print)
    assert not list(tmp_path.iterdir())


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, silently."""

    def log_message(self, *args):
        """Be silent."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Yield the pages of two networks as (network, address); npm must be there."""
    served = []
    for g in (small.network("stylegan2"), small.network("stylegan1", ("a", "b"))):
        out = epath.Path(tmp_path_factory.mktemp("page"))
        try:
            page.write(g, out, print)
        except (ValueError, ConnectionError) as error:
            pytest.skip(str(error))
        handler = functools.partial(Handler, directory=str(out))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever).start()
        served.append((g, server))
    yield [(g, f"http://127.0.0.1:{server.server_port}/") for g, server in served]
    for _, server in served:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = chromium.find()
    if program is None:
        pytest.skip(chromium.MISSING)
    with chromium.started(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


PIXELS = """(() => {
  const picture = document.getElementById("picture");
  const { width, height } = picture;
  return [...picture.getContext("2d").getImageData(0, 0, width, height).data];
})()"""


def pixels(browser, size=16):
    values = np.array(browser.run(PIXELS)).reshape(size, size, 4)
    assert np.all(values[..., 3] == 255)
    return values[..., :3]


def use(browser, element, value, event="change"):
    """Set a control as a visitor would, and wait for the picture."""
    name = "checked" if isinstance(value, bool) else "value"
    browser.run(
        f"""(async () => {{
          const control = document.querySelector({element!r});
          control.{name} = {json.dumps(value)};
          control.dispatchEvent(new Event({event!r}, {{ bubbles: true }}));
          await stylegan.idle();
        }})()"""
    )


@pytest.mark.slow
def test_the_page_draws_what_generate_draws(browser, pages):
    g, address = pages[0]
    browser.open(address)
    browser.run("stylegan.started")
    assert browser.run("document.title") == "small"
    assert browser.run("document.documentElement.dataset.firstPictureSeconds") < "60"
    default = g(seeds=0, truncation_psi=0.7)[0].astype(int)
    assert abs(pixels(browser) - default).max() <= 1
    use(browser, "#seed", "4294967295")
    use(browser, "#psi", "-0.5", "input")
    wanted = g(seeds=2**32 - 1, truncation_psi=-0.5)[0].astype(int)
    assert abs(pixels(browser) - wanted).max() <= 1
    for seed in (0, 1, 77, 2**31, 2**32 - 1):
        z = browser.run(f"[...stylegan.latent({seed}, 9)]")
        official = np.random.RandomState(seed).randn(9).astype(np.float32)
        np.testing.assert_array_equal(np.float32(z), official)

    # Style mixing, by groups and by layers.
    use(browser, "#psi", "1", "input")
    use(browser, "#seed", "3")
    use(browser, "#mix", True)
    use(browser, "#seed2", "9")
    ws = np.asarray(g.map(g.z([3, 9])))

    def mixed(*layers):
        out = ws[:1].copy()
        out[0, list(layers)] = ws[1, list(layers)]
        return g.synthesize(out)[0].astype(int)

    assert abs(pixels(browser) - mixed(0, 1)).max() <= 1
    use(browser, "#groups input[value=fine]", True)
    use(browser, "#layers input[value='0']", False)
    assert abs(pixels(browser) - mixed(1, 4, 5)).max() <= 1
    text = browser.run("location.hash")
    assert text == "#seed=3&psi=1&mix=9&layers=1-4-5"

    # The address restores all of it; fast changes end at the last one.
    browser.open(f"{address}?again{text}")
    browser.run("stylegan.started")
    assert abs(pixels(browser) - mixed(1, 4, 5)).max() <= 1
    browser.run(
        """(async () => {
          stylegan.change({ mix: false });
          for (let seed = 1; seed <= 20; seed++) stylegan.change({ seed });
          await stylegan.idle();
        })()"""
    )
    assert abs(pixels(browser) - g(seeds=20)[0]).max() <= 1
    assert browser.errors == []
    parts = ("mapping.onnx", "synthesis.onnx")
    assert set(browser.requested) >= {f"{address}{part}" for part in parts}
    assert all(name.startswith(address) for name in browser.requested)


@pytest.mark.slow
def test_the_page_of_a_conditional_network(browser, pages):
    g, address = pages[1]
    browser.open(address)
    browser.run("stylegan.started")
    for number, name in enumerate(g.classes):
        use(browser, "#class", str(number))
        wanted = g(seeds=0, label=name, truncation_psi=0.7)[0].astype(int)
        assert abs(pixels(browser) - wanted).max() <= 1
    assert browser.errors == []


@pytest.mark.slow
def test_the_page_fits_a_phone(browser, pages):
    browser.open(pages[1][1] + "?phone#mix=4")
    browser.run("stylegan.started")
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    browser.command("Emulation.setDeviceMetricsOverride", **size)
    try:
        assert browser.run("document.documentElement.scrollWidth") <= 360
    finally:
        browser.command("Emulation.clearDeviceMetricsOverride")


@pytest.mark.slow
def test_the_page_says_what_is_wrong(browser, pages, tmp_path):
    (tmp_path / "index.html").write_bytes(page.template())
    browser.open(tmp_path / "index.html")
    browser.run("stylegan.started")
    status = "document.getElementById('status').textContent"
    assert "run `python -m http.server` in this directory" in browser.run(status)
