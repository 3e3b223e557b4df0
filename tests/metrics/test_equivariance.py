"""The operators of equivariance are the official ones."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.metrics import (
    equivariance,
    generator_metrics,
    registry,
    validation,
)
from stylegan_jax.metrics.context import EvalSpec
from stylegan_jax.metrics.generated_images import GeneratedImages
from stylegan_jax.models import LevelOfDetail, stylegan3
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan3_geometry import Options
from stylegan_jax.sampling import transform
from tests import goldens, tiny
from tests.metrics import stand_ins

NAME = "stylegan2_and_3/G3_equivariance_ops"
ARRAYS = goldens.arrays(f"{NAME}.npz")
SETTINGS = json.loads(goldens.path(f"{NAME}.json").read_text())
TOLERANCE = 1e-5  # of the rms


def check(name, found):
    images, mask = found
    wanted = goldens.nhwc(ARRAYS[f"out/{name}"])
    goldens.assert_close(images, wanted, TOLERANCE, name)
    np.testing.assert_array_equal(mask, ARRAYS[f"out/{name}_mask"][0, 0], name)


@pytest.mark.parametrize("index", range(3))
def test_translations(index):
    image = jnp.asarray(goldens.nhwc(ARRAYS["in/img"]))
    shift = SETTINGS["shifts"][index]
    check(f"int_{index}", equivariance.translate_whole(image, *shift))
    check(f"frac_{index}", equivariance.translate(image, *shift))


@pytest.mark.parametrize("index", range(2))
def test_rotations(index):
    angle = SETTINGS["angles_rad"][index]
    image, other = (
        jnp.asarray(goldens.nhwc(ARRAYS[f"in/{name}"])) for name in ("img", "img2")
    )
    rotated = equivariance.rotate(image, angle)
    filtered = equivariance.pseudo_rotate(other, angle)
    check(f"rot_{index}", rotated)
    check(f"pseudorot_{index}", filtered)
    error, count = equivariance.squared_error(
        rotated[0], filtered[0], rotated[1] * filtered[1]
    )
    found = equivariance.psnr(float(error.sum()) / count)
    assert found == pytest.approx(float(ARRAYS[f"f64/eq_psnr_{index}"]), abs=1e-5)


def test_filters():
    for up in (1, 4):
        wanted = ARRAYS[f"out/filter_up{up}"]
        found = [
            equivariance.rotation_filter(sign * angle, up)
            for angle in SETTINGS["angles_rad"]
            for sign in (1, -1)
        ]
        worst = min(np.abs(f - wanted).max() for f in found)
        assert worst < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("move", ["translate_whole", "translate"])
def test_far_translations_show_nothing(move):
    images, mask = getattr(equivariance, move)(jnp.ones((1, 8, 8, 1)), -1.5, 0.0)
    assert not mask.any() and not np.any(images)


def generated(devices):
    """A tiny StyleGAN3-T with random weights."""
    design = Options(num_layers=2, num_critical=1)
    network = stylegan3.Generator(
        resolution=16, z_dim=8, w_dim=8, channels=Channels(64, 8), design=design
    )
    variables = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 8)))
    variables = devices.replicate(jax.device_get(variables))
    return GeneratedImages("it", network, variables, LevelOfDetail(16), devices, 0)


def test_metrics_of_a_generator(devices):
    """Measure all three, and the same by hand for the first batch."""
    names = ["eqt50k_int", "eqt50k_frac", "eqr50k"]
    images = generated(devices)
    spec = EvalSpec(registry.find(names), None, images, 8, 0, {})
    with tiny.quick_compilation():
        found = stand_ins.measure(spec, stand_ins.context(devices))
        values = {name: result.value for name, result in found.items()}
        z, _ = next(images.latents(8))
        shift = np.random.RandomState(3).uniform(-1 / 8, 1 / 8, 2)
        still, moving = (
            generator_metrics._images(
                images.generator,
                transform.moved(images.generator, images.variables, matrix),
                images.styles(z[0], None),
            )
            for matrix in (np.eye(3), transform.inverse_matrix(shift))
        )
    expected, mask = equivariance.translate(still, *shift)
    errors, count = equivariance.squared_error(expected, moving, mask)
    assert values["eqt50k_frac"] == pytest.approx(
        equivariance.psnr(float(errors.sum()) / (8 * count)), abs=1e-3
    )
    # Anything that is not moved at all has a far lower ratio.
    errors, count = equivariance.squared_error(expected, still, mask)
    still = equivariance.psnr(float(errors.sum()) / (8 * count))
    assert values["eqt50k_int"] > still + 10 and values["eqt50k_frac"] > still + 10
    assert np.isfinite(values["eqr50k"])


def test_other_networks_are_refused(devices):
    spec = EvalSpec(
        registry.find(["eqr50k"]), None, stand_ins.no_generator(devices), 8, 0, {}
    )
    with pytest.raises(
        ValueError, match="eqr50k needs another network: only StyleGAN3"
    ):
        validation.check_requirements(spec, False, None)
