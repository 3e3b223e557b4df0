"""The StyleGAN2 networks against the official ones, and their contracts.

Tolerances are of the largest official value: 1e-5, or 4 times what the official code's
own float32 arithmetic is off by where that is more (B2, B6: up to 4.2e-6).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import upfirdn2d
from stylegan_jax.layers.activations import activate
from stylegan_jax.layers.blocks import join
from stylegan_jax.layers.matmul import fastest_forms
from stylegan_jax.layers.minibatch_stddev import minibatch_stddev
from stylegan_jax.models.interface import Channels, LevelOfDetail
from stylegan_jax.models.mapping import mix_styles, update_w_avg
from stylegan_jax.models.stylegan2 import Discriminator, Generator
from tests import goldens
from tests.interop import stylegan2_goldens
from tests.interop.stylegan2_goldens import DISCRIMINATORS, GENERATORS
from tests.models.random_variables import random_variables

pytestmark = pytest.mark.usefixtures("quick_compilation")
FORWARD, ROUNDING = 1e-5, 4


def compare(results, arrays, settings):
    """Compare the results with every `out/` and `layer/` array of a golden file."""
    wanted = {k for k in arrays if k.startswith(("out/", "layer/"))}
    assert wanted == set(results)
    for key, got in results.items():
        got, official = np.asarray(got), arrays[key]
        assert got.dtype == np.float32
        if got.ndim == 4:
            got = got.transpose(0, 3, 1, 2)
        if key.startswith("layer/") and got.ndim == 4:  # only parts of some are stored
            got = got[: len(official), : official.shape[1]]
        assert got.shape == official.shape, key
        noise = settings["fp32_noise"][key][1]
        tolerance = max(FORWARD, ROUNDING * noise) * np.abs(official).max()
        worst = np.abs(got - official).max()
        assert worst <= tolerance, f"{key}: {worst} of {tolerance}"


def output(captured, *path):
    for name in (*path, "__call__"):
        captured = captured[name]
    return join(captured[0])


def forms(names):
    """Return pairs (name, forms): all plain, and the small ones for TPUs, too."""
    return [
        *((name, {}) for name in names),
        *((name, fastest_forms("tpu")) for name in names[-2:]),
    ]


@pytest.mark.parametrize(("name", "form"), forms(GENERATORS))
def test_generator(name, form):
    model, variables, arrays, settings = stylegan2_goldens.network(name)
    model = model.clone(**form)
    z, z2, c = arrays["in/z"], arrays["in/z2"], arrays.get("in/c")
    n, cut = len(z), settings["truncation_cutoff"]
    # The stored noise, for the last rows replaced by that of the "random" case.
    random = settings["noise_case"]
    given = variables["noise"]
    for i, r in enumerate(model.resolutions):
        for layer in ("conv0", "conv1")[r == 4 :]:
            const = np.asarray(given[f"blocks_{i}"][layer]["noise"]["const"])
            maps = [np.repeat(const, 4 * n, 0)]
            drawn = arrays.get(f"in/noise/b{r}.{layer}")
            maps.append(goldens.nhwc(drawn) if random else maps[0][:n])
            given = _replaced(given, np.concatenate(maps), f"blocks_{i}", layer)

    @jax.jit
    def run(variables, noise, z, z2, c):
        """Return what the file has; without noise, only the first image."""
        ws, ws2 = (model.apply(variables, x, c, method="map") for x in (z, z2))
        pull = functools.partial(model.apply, variables, ws, 0.5, method="truncate")
        assert model.num_ws == settings["num_ws"] == ws.shape[1]
        rows = [ws, pull(cut), pull(), mix_styles(ws, ws2, settings["mix_cutoff"]), ws]
        images, captured = model.apply(
            variables | {"noise": noise},
            jnp.concatenate(rows),
            method="synthesize",
            capture_intermediates=True,
            mutable=True,
        )
        images, cut_, psi, mixed, drawn = jnp.split(images, 5)
        silent = model.apply(variables, ws[:1], noise="none", method="synthesize")
        w_avg = update_w_avg(variables["stats"]["w_avg"], ws, 0.995)
        results = {
            "w": ws[:, 0],
            "w2": ws2[:, 0],
            "w_psi0.5": rows[2][:, 0],
            "ws_psi0.5_cut": rows[1],
            "img_const": images,
            "img_const_nofuse_0": images[:1],
            "img_none_0": silent,
            "img_psi0.5_cut_const_0": cut_[:1],
            "img_psi0.5_const_0": psi[:1],
            "img_mix_const_0": mixed[:1],
            "w_avg_after_z": w_avg,
            "w_avg_after_z_z2": update_w_avg(w_avg, ws2, 0.995),
        } | ({"img_random": drawn} if random else {})
        results = {f"out/{k}": v for k, v in results.items() if f"out/{k}" in arrays}
        if settings["layers"]:
            results |= _generator_layers(model, captured["intermediates"])
        return results

    compare(run(variables, given, z, z2, c), arrays, settings)


def _replaced(tree, value, *path):
    if not path:
        return {"noise": {"const": value}}
    return {**tree, path[0]: _replaced(tree[path[0]], value, *path[1:])}


def _generator_layers(model, captured):
    layers, image = {}, None
    for i, r in enumerate(model.resolutions):
        block = f"blocks_{i}"
        layers[f"b{r}:x"] = output(captured, block)
        if model.architecture == "resnet" and r > 4:
            layers[f"b{r}.skip"] = output(captured, block, "skip")
        for name in ("conv0", "conv1")[r == 4 :]:
            layers[f"b{r}.{name}"] = output(captured, block, name)
            layers[f"b{r}.{name}.affine"] = output(captured, block, name, "affine")
        if r in model.to_rgb_resolutions:
            rgb = layers[f"b{r}.torgb"] = output(captured, f"to_rgb_{r}")
            layers[f"b{r}.torgb.affine"] = output(captured, f"to_rgb_{r}", "affine")
            skip = image is not None and upfirdn2d.upsample2d(image, model.options.taps)
            image = layers[f"b{r}:img"] = rgb + skip
    return {f"layer/{k}": v[:1] for k, v in layers.items()}


def test_call_of_the_generator():
    model, variables, arrays, settings = stylegan2_goldens.network(GENERATORS[7])
    cut = settings["truncation_cutoff"]
    images = jax.jit(functools.partial(model.apply, truncation_psi=0.5))(
        variables, arrays["in/z"][:1], truncation_cutoff=cut
    )
    key = "out/img_psi0.5_cut_const_0"
    compare({key: images}, {key: arrays[key]}, settings)


@pytest.mark.parametrize(("name", "form"), forms(DISCRIMINATORS))
def test_discriminator(name, form):
    model, variables, arrays, settings = stylegan2_goldens.network(name)
    model = model.clone(**form)

    @jax.jit
    def run(variables, all_images, all_labels):
        """Return what the file has."""
        results = {}
        for n in settings["batches"]:
            images = all_images[:n]
            labels = all_labels[:n] if model.label_size else None
            logits, captured = model.apply(
                variables, images, labels, capture_intermediates=True, mutable=True
            )
            captured = captured["intermediates"]
            results[f"out/logits_n{n}"] = logits[:, None]
            statistics = _statistics(model, captured)
            results[f"out/mbstd_n{n}"] = statistics[:, 0, 0]
            if model.label_size:
                results.setdefault("out/cmap", output(captured, "mapping"))
        if settings["layers"]:
            assert n == 2
            layers = _discriminator_layers(model, captured, images)
            layers |= {"b4": logits[:, None], "b4.mbstd_last_channels": statistics}
            results |= {f"layer/{k}": v for k, v in layers.items()}
        return results

    images = goldens.nhwc(arrays["in/img_u8"].astype(np.float32) / 127.5 - 1)
    compare(run(variables, images, arrays.get("in/c")), arrays, settings)


def _statistics(model, captured):
    x = output(captured, "blocks_1")
    if model.architecture == "skip":
        x = x + output(captured, "from_rgb")
    x = minibatch_stddev(x, model.mbstd_group_size, model.mbstd_features)
    return x[..., -model.mbstd_features :]


def _discriminator_layers(model, captured, images):
    layers = {}
    for i, r in reversed(list(enumerate(model.resolutions))[1:]):
        block = f"blocks_{i}"
        for ours, official in (
            ("from_rgb", "fromrgb"),
            ("conv0", "conv0"),
            ("conv1", "conv1"),
            ("skip", "skip"),
        ):
            if ours in captured[block]:
                layers[f"b{r}.{official}"] = output(captured, block, ours)
        layers[f"b{r}:x"] = output(captured, block)
        if model.architecture == "skip":
            images = upfirdn2d.downsample2d(images, model.options.taps)
            layers[f"b{r}:img"] = images
    if model.architecture == "skip":
        layers["b4.fromrgb"] = output(captured, "from_rgb")
    layers["b4.conv"] = output(captured, "conv")
    layers["b4.fc"] = activate(output(captured, "dense0"), "lrelu")
    layers["b4.out"] = output(captured, "dense1")
    return layers


def small(resolution=16, **options):
    shape = {"resolution": resolution, "channels": Channels(64, 8)}
    return (
        Generator(z_dim=8, w_dim=8, mapping_layers=2, **shape, **options),
        Discriminator(mapping_layers=2, **shape, **options),
    )


def _shapes(g, d):
    z = jnp.zeros((4, g.z_dim))
    labels = jnp.zeros((4, g.label_size)) if g.label_size else None
    key = jax.random.key(0)
    images, _ = jax.eval_shape(g.init_with_output, key, z, labels)
    logits, _ = jax.eval_shape(d.init_with_output, key, images, labels)
    assert (images.dtype, logits.dtype) == (jnp.float32, jnp.float32)
    return images.shape, logits.shape


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_shapes_and_types(architecture):
    for options, shape in (
        ({"image_channels": 1}, (4, 16, 16, 1)),
        ({"image_channels": 4, "label_size": 3}, (4, 16, 16, 4)),
        ({"base_size": (4, 6), "resolution": 32}, (4, 32, 48, 3)),
        ({"resolution": 4}, (4, 4, 4, 3)),
        ({"dtype": jnp.bfloat16, "low_precision_resolutions": 2}, (4, 16, 16, 3)),
    ):
        g, d = small(**options)
        g = g.clone(architecture=architecture)
        d = d.clone(architecture=architecture)
        assert _shapes(g, d) == (shape, (4,))


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_integer_images(architecture):
    """Integer images are converted before a filter rounds its taps to their dtype."""
    d = small()[1].clone(architecture=architecture)
    images = np.random.default_rng(0).integers(0, 3, (4, 16, 16, 3), np.uint8)
    variables = random_variables(d, images)
    one = jnp.ones(())

    @jax.jit
    def run(variables, images, floats):
        return (
            d.apply(variables, images, lod=LevelOfDetail(16, np.float32(1))),
            d.apply(variables, floats, lod=LevelOfDetail(16, one)),
        )

    logits, wanted = run(variables, images, np.float32(images))
    assert logits.dtype == jnp.float32
    np.testing.assert_array_equal(logits, wanted)
    with pytest.raises(ValueError, match="does not grow"):
        d.apply(variables, images, lod=LevelOfDetail(16, np.float32(0.9)))


@pytest.mark.parametrize("freeze", [0, 1, 5])
def test_frozen_layers_have_no_gradient(freeze):
    d = Discriminator(16, channels=Channels(64, 8), freeze_layers=freeze)
    images = np.random.RandomState(1).normal(size=(4, 16, 16, 3)).astype(np.float32)
    variables = random_variables(d, images)
    loss = lambda v: jnp.sum(d.apply(v, images))  # noqa: E731
    gradients = jax.jit(jax.grad(loss))(variables)["params"]
    layers = [("blocks_2", n) for n in ("from_rgb", "conv0", "conv1", "skip")]
    layers += [("blocks_1", n) for n in ("conv0", "conv1", "skip")]
    for i, (block, layer) in enumerate(layers):
        weight = gradients[block][layer]["kernel"]["weight"]
        assert bool(np.any(weight)) == (i >= freeze), (block, layer)
    assert np.any(gradients["conv"]["kernel"]["weight"])
