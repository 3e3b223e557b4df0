"""Latents of folders of labeled images, for boundaries."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.inversion import image_groups
from stylegan_jax.inversion.encoder import Encoder
from tests.networks import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def folder(tmp_path):
    g = small.network("stylegan2")
    for name, numbers in (("negative", [3, 4]), ("positive", [5])):
        (tmp_path / name).mkdir()
        for number, image in zip(numbers, g(seeds=numbers), strict=True):
            Image.fromarray(image).save(tmp_path / name / f"{number}.png")
    return tmp_path


@dataclasses.dataclass(frozen=True, eq=False)
class Recorder(Encoder):
    """An encoder whose latent of an image is its mean."""

    def __call__(self, images, *, offsets=True):
        means = images.mean((1, 2, 3)).astype(np.float32)
        return np.broadcast_to(means[:, None, None], (len(images), 6, 8))

    def check(self, network, resolution=None):
        assert network.reference == "small"


def test_an_encoder_gives_the_latents(folder):
    g = small.network("stylegan2")
    encoder = Recorder(*[None] * 10)
    negative, positive = image_groups.latents(g, folder, encoder)
    expected = g(seeds=[3, 4, 5]).mean((1, 2, 3))
    np.testing.assert_allclose(negative[:, 0, 0], expected[:2], rtol=1e-5)
    np.testing.assert_allclose(positive[:, 5, 7], expected[2:], rtol=1e-5)


def test_projection_gives_them_without_one(folder, monkeypatch):
    monkeypatch.setattr(image_groups, "STEPS", 40)
    g = small.network("stylegan2")
    negative, positive = image_groups.latents(g, folder)
    assert negative.shape == (2, 6, 8) and positive.shape == (1, 6, 8)
    average = np.broadcast_to(g.variables["stats"]["w_avg"], (3, 6, 8))
    targets = g(seeds=[3, 4, 5]).astype(int)
    errors = [
        np.abs(g.synthesize(ws) - targets).mean()
        for ws in (np.concatenate([negative, positive]), average)
    ]
    assert errors[0] < 0.7 * errors[1]


def test_missing_groups(tmp_path):
    (tmp_path / "positive").mkdir()
    with pytest.raises(ValueError, match="there is no negative$"):
        image_groups.latents(small.network("stylegan2"), tmp_path)
