"""The official StyleGAN3 generators: images, gradients and moving averages."""

import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import interop
from stylegan_jax.layers.matmul import EXACT
from stylegan_jax.models import mapping
from stylegan_jax.models.stylegan3 import FourierInput, SynthesisLayer, demodulation
from stylegan_jax.models.stylegan3_geometry import Signal
from tests import goldens, tiny
from tests.layers import official

FOLDER = "stylegan2_and_3"
NAMES = ["F3_t64_L10_c10", "F6_r32_L7_clamp0.7"]
FURTHER = ["F1_t32_L6", "F2_r32_L6", "F4_r64_L8", "F5_t64_L14"]
SLOW_NAMES = [NAMES[0], *FURTHER]
ALL_T = [name for name in SLOW_NAMES if "_t" in name]
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in SLOW_NAMES]
# Of the largest value, like the goldens' `fp32_noise`; forward also 1e-5 of the rms.
FORWARD, GRADIENT = 5e-6, 1e-4


def network(name):
    """Module, variables, arrays and settings of a golden network."""
    settings = json.loads(goldens.path(f"{FOLDER}/{name}.json").read_text())
    arrays = goldens.arrays(f"{FOLDER}/{name}.npz")
    model, variables = interop.from_official(
        goldens.below(arrays, "param/"), "stylegan3", "generator", **settings["kwargs"]
    )
    return model, variables, arrays, settings


def assert_close(actual, desired, tolerance, name):
    actual, desired = np.asarray(actual, np.float64), np.asarray(desired, np.float64)
    assert actual.shape == desired.shape, name
    worst = np.abs(actual - desired).max() / np.abs(desired).max()
    assert worst <= tolerance, f"{name}: {worst:.3g} of the largest value"


@pytest.mark.parametrize("name", [*NAMES, *SLOW[1:]])
def test_images(name):
    model, variables, arrays, settings = network(name)
    z, z2, labels = arrays["in/z"], arrays["in/z2"], arrays.get("in/c")
    constants = variables["constants"]

    @jax.jit
    def map_and_truncate(z):
        ws = model.apply(variables, z, labels, method="map")
        truncate = functools.partial(model.apply, variables, ws, method="truncate")
        return (
            ws,
            truncate(psi=0.6, cutoff=settings["truncation_cutoff"]),
            truncate(psi=0.5),
        )

    @jax.jit
    def synthesize(ws, transform):
        changed = constants | {"input": constants["input"] | {"transform": transform}}
        images, found = model.apply(
            variables | {"constants": changed},
            ws,
            method="synthesize",
            capture_intermediates=lambda module, _: module.name == "input",
        )
        return images, found["intermediates"]["input"]["__call__"][0]

    def check(key, value):
        if key in arrays:
            wanted = arrays[key]
            wanted = goldens.nhwc(wanted) if wanted.ndim == 4 else wanted
            assert_close(value[: len(wanted)], wanted, FORWARD, key)
            compared.add(key)

    compared = set()
    with tiny.quick_compilation():
        ws, cut, half = map_and_truncate(z)
        ws2, *_ = map_and_truncate(z2)
        check("out/w", ws[:, 0])
        check("out/w2", ws2[:, 0])
        check("out/ws_psi0.6_cut", cut)
        for name in settings["transforms_angle_tx_ty"]:
            images, features = synthesize(ws, arrays[f"in/transform/{name}"])
            check(f"out/img_{name}", images)
            check(f"out/fourier_{name}", features[..., :4])
            if f"out/img_{name}" in arrays:
                wanted = goldens.nhwc(arrays[f"out/img_{name}"])
                goldens.assert_close(images[: len(wanted)], wanted, 1e-5, name)
        identity = arrays["in/transform/identity"]
        mixed = mapping.mix_styles(ws, ws2, jnp.asarray(settings["mix_cutoff"]))
        check("out/img_mix", synthesize(mixed, identity)[0])
        check("out/img_psi0.5", synthesize(half, identity)[0])
    assert compared == {key for key in arrays if key.startswith("out/")}


every_network = pytest.mark.parametrize("name", [NAMES[1], *SLOW])
# All of them, and those of T in the form for GPUs.
GRADIENTS = [
    (NAMES[1], False),
    *(pytest.param(name, False, marks=pytest.mark.slow) for name in SLOW_NAMES),
    *(pytest.param(name, True, marks=pytest.mark.slow) for name in ALL_T),
]


@pytest.mark.parametrize(("name", "fused_columns"), GRADIENTS)
def test_gradients(name, fused_columns):
    model, variables, arrays, settings = network(name)
    model = model.clone(fused_columns=fused_columns)

    @jax.jit
    @jax.grad
    def gradient(params):
        images = model.apply(
            variables | {"params": params}, arrays["in/z"], arrays.get("in/c")
        )
        return jnp.sum(images * goldens.nhwc(arrays["in/cot"]))

    with tiny.quick_compilation():
        gradients = gradient(variables["params"])
    ours = interop.to_official(model, variables | {"params": gradients})
    wanted = goldens.below(arrays, "grad/")
    assert len(wanted) > 30
    for key, value in wanted.items():
        assert_close(ours[key], value, GRADIENT, key)


@every_network
def test_moving_averages_of_magnitudes(name):
    """The official update also averages w, which is the training's task here."""
    model, variables, arrays, settings = network(name)

    @jax.jit
    def update(stats, z):
        before = variables | {"stats": stats}
        images, changed = model.apply(
            before,
            model.apply(before, z, arrays.get("in/c"), method="map"),
            magnitude_beta=settings["kwargs"]["magnitude_ema_beta"],
            method="synthesize",
            mutable=["stats"],
        )
        return images, changed["stats"]

    stats = variables["stats"]
    with tiny.quick_compilation():
        for i, z in ((1, arrays["in/z"]), (2, arrays["in/z2"])):
            images, stats = update(stats, z)
            if i == 1:
                wanted = goldens.nhwc(arrays["ema/img_during_update"])
                assert_close(images[: len(wanted)], wanted, FORWARD, "image")
            ours = interop.to_official(model, variables | {"stats": stats})
            wanted = goldens.below(arrays, f"ema/after{i}/")
            assert len(wanted) == len(model.table.layers) + 1
            w_avg = wanted.pop("mapping.w_avg")
            assert w_avg.shape == ours["mapping.w_avg"].shape
            for key, value in wanted.items():
                np.testing.assert_allclose(ours[key], value, 1e-6, err_msg=key)


def test_modulated_convolutions():
    """The parts that a layer applies in turn, with and without demodulation."""
    calls = official.Calls("F8_modconv_sg3")
    assert len(calls.cases) == 16
    x, style = calls.inputs("x"), calls.inputs("s")
    for case in calls.cases:
        kernel, p = official.hwio(calls.arrays[f"in/{case['w']}"]), case["padding"]
        gain = 1.0
        if case["input_gain"]:
            gain = calls.arrays[f"in/{case['input_gain']}"]
            gain = np.broadcast_to(gain, style.shape)
        y = jax.lax.conv_general_dilated(
            x * (style * gain)[:, None, None],
            kernel,
            (1, 1),
            ((p, p), (p, p)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        if case["demodulate"]:
            y = y * demodulation(jnp.asarray(kernel), style)[:, None, None]
        wanted = goldens.nhwc(calls.arrays[f"out/{case['id']}"])
        goldens.assert_close(y, wanted, 1e-5, str(case))


@pytest.mark.parametrize("side", [2, 6])
def test_scaled_images_and_scaled_kernels(side):
    """Smaller images are scaled instead of the kernel, which has 8x8 numbers."""
    layer = SynthesisLayer(
        geometry=None, clamp=None, dtype=jnp.float32, arithmetic=EXACT
    )
    random = np.random.RandomState(0)
    x, kernel, style, scale = (
        random.randn(*shape).astype(np.float32)
        for shape in ((2, side, side, 8), (1, 1, 8, 8), (2, 8), (2, 8))
    )
    wanted = np.einsum("bhwi,io,bi,bo->bhwo", x, kernel[0, 0], style, scale)
    found = layer._convolve(jnp.asarray(x), jnp.asarray(kernel), style, scale)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_one_transform_for_each_image():
    """Rotate and translate every image of a batch by itself."""
    model, variables, arrays, _ = network(NAMES[1])
    transforms = [arrays["in/transform/identity"], arrays["in/transform/rot-75_t"]]
    constants = variables["constants"]["input"] | {"transform": np.stack(transforms)}
    with tiny.quick_compilation():
        images = jax.jit(model.apply)(
            variables | {"constants": {"input": constants}}, arrays["in/z"]
        )
    wanted = goldens.nhwc(arrays["out/img_identity"])[0]
    assert_close(images[0], wanted, FORWARD, "identity")
    rotated = goldens.nhwc(arrays["out/img_rot-75_t"])
    assert np.abs(images[1]).max() > 0.01 and len(rotated) == 1


def test_frequencies_fade_out_above_the_cutoff():
    """Those that the user's transform moves to half the sampling rate vanish."""
    signal = Signal(channels=4, size=8, rate=8, cutoff=2.0, half_width=1.0)
    layer, w = FourierInput(signal), jnp.zeros((1, 3))
    params = jax.jit(layer.init)(jax.random.key(0), w)["params"]
    params |= {"weight": math.sqrt(signal.channels) * jnp.eye(signal.channels)}
    frequencies = np.array([[1, 0], [2, 0], [0, 2], [3, 0]], np.float32)
    phases = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    constants = {"frequencies": frequencies, "phases": phases}
    constants |= {"transform": np.diag([1.5, 1.5, 1]).astype(np.float32)}
    variables = {"params": params, "constants": constants}
    found = jax.jit(layer.apply)(variables, w)
    y, x = np.mgrid[:8, :8] / 8 + 0.5 / 8 - 0.5
    angles = 1.5 * (x[..., None] * frequencies[:, 0] + y[..., None] * frequencies[:, 1])
    wanted = np.sin(2 * np.pi * (angles + phases)) * [1, 0.5, 0.5, 0]
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)
