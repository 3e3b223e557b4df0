"""The images that come with the package."""

import numpy as np

from stylegan_jax import config
from stylegan_jax.data.sources import EMOJI, open_source
from tests.data.sources.image_files import failure, read

GROUPS = (
    "activities",
    "animals-nature",
    "food-drink",
    "objects",
    "people-body",
    "smileys-emotion",
    "symbols",
    "travel-places",
)


def test_builtin_has_the_documented_images():
    source = open_source(config.Data(resolution=64))
    assert EMOJI.stat().st_size <= 8_000_000
    assert source.num_images == 1631
    assert source.classes == GROUPS and source.label_size == 8
    labels = [read(source, index)[1] for index in range(source.num_images)]
    counts = np.bincount(labels, minlength=8)
    assert counts.tolist() == [85, 159, 131, 264, 381, 169, 224, 218]
    image, _ = read(source)
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    assert "activities/" in source.describe(0) and source.check(0) is None
    assert (EMOJI.parent / "NOTICE").read_text().startswith("emoji64.zip")


def test_builtin_is_averaged_down():
    full, _ = read(open_source(config.Data(resolution=64)), 7)
    small, _ = read(open_source(config.Data(resolution=16)), 7)
    mean = full.reshape(16, 4, 16, 4, 3).astype(np.float64).mean((1, 3))
    np.testing.assert_array_equal(small, np.rint(mean))


def test_builtin_names_its_largest_resolution():
    message = failure(config.Data(resolution=128))
    assert "`data.resolution` (=128) must be at most 64" in message
    assert "--config.data.resolution=64" in message


def test_unknown_source_names_the_known_ones():
    message = failure(config.Data(source="s3"))
    assert (
        "`data.source` (='s3') must be one of ('builtin', 'folder', 'prepared',"
        in message
    )
