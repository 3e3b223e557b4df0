"""Text directions with a stand-in for CLIP, whose texts are colors."""

import numpy as np
import pytest

from stylegan_jax.sampling.directions import text
from stylegan_jax.sampling.directions.moments import w_moments
from stylegan_jax.sampling.directions.subject import Subject
from tests.networks import small

COLORS = {"red": (1, 0, 0), "gray": (1, 1, 1), "blue": (0, 0, 1)}


class Colors:
    """Embeds an image as its mean color, and a text as the color that it names."""

    def embed_texts(self, texts):
        return np.array([COLORS[name] for name in texts], np.float32)

    def embed_images(self, images):
        return images.mean((1, 2)) + 1


def test_a_text_direction_changes_what_the_text_says():
    g = small.network("stylegan2")
    moments = w_moments(g.generator, g.variables, 200)
    subject = Subject(g.generator, g.variables, "small", moments, tuple(range(6)))

    def samples():
        for i in range(0, 256, 64):
            ws = g.map(g.z(range(i, i + 64)))
            yield np.asarray(ws)[:, 0], g.synthesize(ws)

    found = text.text(subject, "redder", Colors(), "red", "gray", samples())
    assert found.method == "text" and found.facts["examples"] == 256
    assert found.facts["correlation"] > 0.2
    ws = np.asarray(g.map(g.z(range(1000, 1032))))

    def redness(strength):
        images = g.synthesize(found.edit(g.generator, ws, strength))
        color = Colors().embed_images(images)
        return np.mean(color[:, 0] / color.sum(1))

    assert redness(-2) < redness(0) < redness(2)
    with pytest.raises(
        ValueError, match="the model does not distinguish the texts 'red' and 'red'"
    ):
        text.text(subject, "a", Colors(), "red", "red", samples())


def test_the_package_is_named_if_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(text.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install open_clip_torch"):
        text.OpenClip("ViT-B-32", tmp_path / "weights.pt")
