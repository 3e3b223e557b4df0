"""Generated images beside their nearest training images."""

import chex
import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data.sources import from_path
from stylegan_jax.sampling.figures import nearest

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def planted(skip, tmp_path):
    """A folder of noise, in which two generated images are hidden, one mirrored."""
    images = np.random.RandomState(0).randint(0, 256, (70, 16, 16, 3), np.uint8)
    drawn = skip.draw(skip.styles([3, 4]))
    images[66], images[5] = drawn[0], drawn[1][:, ::-1]
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i:02d}.png")
    return images, from_path.open_path(str(tmp_path), (16, 16), "exact")


def test_planted_images_are_found(skip, planted, tile):
    images, source = planted
    shown = []
    options = {"neighbors": 3, "show": lambda *progress: shown.append(progress)}
    figure, lines = nearest.nearest(skip, [3, 4], source, **options)
    assert shown == [("compared", 64, 70), ("compared", 70, 70)]
    drawn = skip.draw(skip.styles([3, 4]))
    for i in range(2):
        np.testing.assert_array_equal(tile(figure, (i, 0), (2, 4)), drawn[i])
        squares = np.square(images - drawn[i].astype(np.float64)).mean((1, 2, 3))
        order = np.argsort(squares)[:3]
        for k, index in enumerate(order):
            np.testing.assert_array_equal(
                tile(figure, (i, k + 1), (2, 4)), images[index]
            )
            line = lines[3 * i + k]
            assert line.startswith(f"seed {3 + i}: {np.sqrt(squares[index]):.1f} of")
            assert line.endswith(f"{index:02d}.png")
    assert lines[0].startswith("seed 3: 0.0 of 255") and "66.png" in lines[0]
    assert "seed 4: 0.0" not in " ".join(lines)

    figure, lines = nearest.nearest(skip, [3, 4], source, neighbors=70, mirror=True)
    assert lines[70] == f"seed 4: 0.0 of 255 from {source.describe(5)}, mirrored"
    np.testing.assert_array_equal(tile(figure, (1, 1), (2, 71)), drawn[1])
    # Each image counts once, mirrored or not.
    names = [line.removesuffix(", mirrored").split("/")[-1] for line in lines]
    assert sorted(names[:70]) == [f"{i:02d}.png" for i in range(70)]

    with pytest.raises(ValueError, match=r"neighbors \(=71\) must be at most 70, the"):
        nearest.nearest(skip, [3], source, neighbors=71)


def test_large_images_are_compared_after_averaging():
    image = np.zeros((1, 128, 64, 1), np.float32)
    image[:, ::4, ::4] = 16
    np.testing.assert_array_equal(nearest.small(image), np.ones((1, 32, 16, 1)))
    chex.assert_shape(nearest.small(image[:, :24, :32]), (1, 24, 32, 1))
