"""Saved latents: read back by the page and by `generate`; and damaged ones."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.explorer import files
from stylegan_jax.explorer import picture as pictures
from stylegan_jax.explorer.picture import Latent, Mix, Picture, Seed, Style
from stylegan_jax.sampling import latents

LABEL = (0.0, 1.0)
PICTURE = Picture(Style(Seed(5), LABEL, Mix(6, (1, 2))), 0.5, 4, "random", 7)


def npz(compressed=False, **arrays):
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def source(values):
    return pictures.style_to_json(Style(Latent.of("ws", values)))["source"]


def test_image(renderer):
    content = files.image(renderer, PICTURE)
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), renderer.draw(PICTURE))


def test_a_saved_latent_returns_with_its_settings(renderer):
    found = files.load(renderer, files.save(renderer, PICTURE), "a.npz")
    assert pictures.from_json(found["picture"], renderer.network.generator) == PICTURE
    assert found["truncated"] and found["total"] == len(found["sources"]) == 1
    assert found["sources"] == [source(renderer.styles(PICTURE)[0])]


def test_generate_reads_a_saved_latent(renderer, tmp_path):
    path = tmp_path / "saved.npz"
    path.write_bytes(files.save(renderer, PICTURE))
    kind, ws = latents.read(path, renderer.network.generator, "--latents")
    assert kind == "ws"
    images = renderer.network.synthesize(ws, noise="random", noise_seed=7)
    np.testing.assert_array_equal(images[0], renderer.draw(PICTURE))


@pytest.mark.parametrize(
    "settings",
    [
        {"picture": pictures.to_json(Picture(Style(Seed(5), LABEL)))},  # other styles
        {"picture": {"style": 1}},
        {},
        [],
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_settings_that_do_not_fit_are_left_out(renderer, settings):
    ws = renderer.styles(PICTURE)
    content = io.BytesIO(npz(ws=ws))
    with zipfile.ZipFile(content, "a") as archive:
        text = settings if isinstance(settings, bytes) else json.dumps(settings)
        archive.writestr(files.SETTINGS, text)
    found = files.load(renderer, content.getvalue(), "a.npz")
    assert found["picture"] is None and found["sources"] == [source(ws[0])]


def test_several_latents(renderer):
    z = np.random.default_rng(0).normal(size=(70, 8))
    found = files.load(renderer, npz(z=z), "a.npz")
    assert found["total"] == 70 and len(found["sources"]) == files.MAX_LATENTS
    assert not found["truncated"] and found["picture"] is None
    np.testing.assert_allclose(
        Latent("z", found["sources"][3]["data"]).values(renderer.network.generator),
        z[3],
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"^`file` \(=my.npz\) cannot be used"),
        (b"PK\3\4 and no archive", r"^`file` \(=my.npz\) cannot be used"),
        (npz(x=np.zeros(3)), "it must hold one array named z, w, ws; it holds x"),
        (npz(ws=np.zeros((1, 6, 9))), r"takes z \[N, 8\], w \[N, 8\] or ws"),
        (npz(True, z=np.zeros((2**21, 8))), "at most 8,388,608 bytes"),
        (npz(z=np.array([[None] * 8])), "latents are numbers"),
    ],
)
def test_bad_files_are_explained(renderer, content, message):
    with pytest.raises(ValueError, match=message) as raised:
        files.load(renderer, content, "my.npz")
    assert "/tmp" not in str(raised.value)
