"""Resizing against TensorFlow 1, PyTorch and clean-fid."""

import functools

import chex
import numpy as np
import pytest

from stylegan_jax.metrics.networks import resize
from tests import goldens
from tests.metrics.networks import recipe

SIZES = ("32x32", "1024x1024", "45x70", "299x299")
# Ours -> the golden's name.
NAMES = {
    "tf1_bilinear": "tf1_bilinear",
    "tf1_nearest": "nearest_tf1",
    "half_pixel_bilinear": "half_pixel_bilinear",
    "clean": "cleanfid_pil_bicubic_float",
    "align_corners_bilinear": "align_corners_bilinear",
    "half_pixel_bicubic": "torch_bicubic_a-0.75",
    "antialias_bilinear": "antialias_bilinear",
    "antialias_bicubic": "antialias_bicubic_a-0.5",
}


@pytest.fixture(scope="module", params=SIZES)
def case(request):
    """Rows of the golden of a size, its picture, statistics and arrays."""
    facts = recipe.document("metrics/resize.json")
    entry = facts["cases"][request.param]
    picture = recipe.pattern(*entry["hw"], entry["pattern_seed"])
    arrays = goldens.below(goldens.arrays("metrics/resize.npz"), request.param + "/")
    return facts["rows"], picture, entry["modes"], arrays


def test_every_mode_has_a_golden():
    assert set(NAMES) == set(resize.MODES)


@pytest.mark.parametrize("mode", NAMES)
def test_golden(case, mode):
    """The tolerance is 4e-7 of the largest value, 255: float32."""
    rows, picture, facts, arrays = case
    result = np.asarray(resize.resize(picture[None], 299, 299, mode))[0]
    expected = facts[NAMES[mode]]
    if NAMES[mode] in arrays:  # where the size is kept, only statistics are there
        np.testing.assert_allclose(
            result[rows][..., 0], arrays[NAMES[mode]], atol=1e-4, rtol=0
        )
    exact = result.astype(np.float64)
    np.testing.assert_allclose(exact.mean((0, 1)), expected["mean"], atol=1e-4, rtol=0)
    np.testing.assert_allclose(exact.std((0, 1)), expected["std"], atol=1e-4, rtol=0)


def test_an_image_of_the_right_size_is_unchanged():
    image = recipe.pattern(299, 299, 3)[None]
    for mode in resize.MODES:
        np.testing.assert_array_equal(resize.resize(image, 299, 299, mode), image)


class FlatImage(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_a_flat_image_stays_flat(self):
        image = np.full((1, 9, 13, 3), 200, np.uint8)
        for mode in NAMES:
            to_size = functools.partial(resize.resize, height=20, width=5, mode=mode)
            result = self.variant(to_size)(image)
            np.testing.assert_allclose(result, 200.0, atol=1e-3, err_msg=mode)
            chex.assert_shape(result, (1, 20, 5, 3))
            chex.assert_type(result, np.float32)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match=r"no resize mode 'cubic'.*'tf1_bilinear'"):
        resize.resize(np.zeros((1, 4, 4, 3), np.uint8), 8, 8, "cubic")
