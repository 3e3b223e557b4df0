"""MS-SSIM against ProGAN's numbers."""

import numpy as np
import pytest

from stylegan_jax.metrics.ms_ssim import ms_ssim
from tests.metrics import golden_sets

CASES = golden_sets.cases("ms_ssim")


@pytest.mark.parametrize("name", [n for n in CASES if "hw" in CASES[n]])
def test_every_published_case(name):
    case = CASES[name]
    pair = [
        golden_sets.images(case[key], case["n"], *case["hw"], sha)
        for key, sha in zip("ab", case["sha"], strict=True)
    ]
    found = ms_ssim(*pair)
    np.testing.assert_allclose(found, case["per_pair"], rtol=1e-9)
    np.testing.assert_allclose(np.mean(found), case["value"], rtol=1e-9)
    assert abs(np.mean(found) - case["pggan"]) < 3e-6  # which is float32


def test_constant_images():
    a, b = (np.full((1, 64, 64, 3), value, np.uint8) for value in (100, 150))
    expected = CASES["constant_100_vs_150"]["value"]
    np.testing.assert_allclose(ms_ssim(a, b), expected, rtol=1e-9)


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="at least 16 pixels"):
        ms_ssim(np.zeros((1, 15, 32, 3)), np.zeros((1, 15, 32, 3)))
