"""The StyleGAN networks against the official ones, and their contracts."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import config, interop, models
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.models.mapping import mix_styles
from stylegan_jax.models.stylegan1 import Channels, Discriminator, Generator
from tests import goldens
from tests.models.random_variables import random_variables

# The goldens' noise floor is at most 3.4e-5 (images) and 2e-6 (scores) of the rms.
IMAGES, SCORES, ACTIVATIONS = 3e-4, 1e-4, 3e-4
GENERATORS = ["g_32_linear", "g_64_recursive", "g_cond_16", "g_traditional_32"]
GENERATORS += [pytest.param("g_128_auto", marks=pytest.mark.slow)]


def official_generator(arrays, settings, fused="auto"):
    kwargs = settings["G_kwargs"] | {
        "fused_scale": fused,
        "label_size": settings["label_size"],
    }
    return interop.from_official(
        goldens.below(arrays, "vars/G/"), "stylegan1", "generator", **kwargs
    )


def enlarge(images, size):
    k = size // images.shape[1]
    return np.repeat(np.repeat(np.asarray(images), k, 1), k, 2)


@pytest.mark.parametrize("name", GENERATORS)
def test_generator(name):
    file = f"stylegan1/{name}.npz"
    arrays, settings = goldens.arrays(file), goldens.settings(file)
    full = settings["G_kwargs"]["resolution"]
    keys = [k for k in arrays if "images_lod" in k]
    assert keys
    networks, cases = {}, {}
    for key in keys:
        fused = {"fused_True": True, "fused_False": False}.get(key.split("/")[1])
        fused = "auto" if fused is None else fused
        networks[str(fused)] = official_generator(arrays, settings, fused)
        cases[key] = str(fused), float(key.split("lod")[1])

    @jax.jit
    def run(variables, z, labels):
        """Return images by network and level of detail, and the styles."""
        images = {
            (fused, lod): networks[fused][0].apply(
                variables[fused], z, labels, LevelOfDetail.from_scalar(lod, full)
            )
            for fused, lod in set(cases.values())
        }
        model, _ = networks["auto"]
        return images, model.apply(variables["auto"], z, labels, method="map")

    variables = {fused: variables for fused, (_, variables) in networks.items()}
    images, ws = run(variables, arrays["in/z"], arrays.get("in/labels"))
    for key, case in cases.items():
        wanted = goldens.nhwc(arrays[key])
        goldens.assert_close(enlarge(images[case], full), wanted, IMAGES, key)
    goldens.assert_close(ws, arrays["out/w"], ACTIVATIONS, "w")


@pytest.mark.parametrize("fused", ["auto", True, False])
def test_activations(fused):
    arrays = goldens.arrays("stylegan1/g_32_linear.npz")
    settings = goldens.settings("stylegan1/g_32_linear.npz")
    model, variables = official_generator(arrays, settings, fused)
    names = {"epilogue": "styled", "before_noise": "before_noise"}
    names["instance_norm"] = "normalized"
    stored = goldens.below(arrays, f"out/fused_{fused}/acts/")

    @jax.jit
    def activations(variables, z):
        _, sown = model.apply(variables, z, mutable=["intermediates"])
        sown, found = sown["intermediates"], {}
        for key in stored:
            layer, _, what = key.partition("_")
            if layer == "torgb":
                i = 3 - int(what[3:])
                x = sown[f"layers_{2 * i + 1}"]["styled"][0]
                to_rgb = lambda m, x, i=i: m.to_rgb[i](x)  # noqa: E731
                found[key] = model.apply(variables, x, method=to_rgb)
            else:
                found[key] = sown[f"layers_{layer[5:]}"][names[what]][0]
        return found

    for key, got in activations(variables, arrays["in/z"][:2]).items():
        goldens.assert_close(got, goldens.nhwc(stored[key]), ACTIVATIONS, key)


def test_truncation_and_mixing():
    arrays = goldens.arrays("stylegan1/g_32_linear.npz")
    settings = goldens.settings("stylegan1/g_32_linear.npz")
    model, variables = official_generator(arrays, settings)

    @jax.jit
    def run(variables, z, w_mix):
        """Return images and styles by cutoff, and the images of mixed styles."""
        truncated = {}
        for cutoff in (4, 8):
            options = {"truncation_psi": 0.7, "truncation_cutoff": cutoff}
            ws = model.apply(variables, z, method="map")
            truncated[cutoff] = (
                model.apply(variables, z, **options),
                model.apply(variables, ws, 0.7, cutoff, method="truncate"),
            )
        return truncated, model.apply(variables, w_mix, method="synthesize")

    truncated, images_of_mixed = run(variables, arrays["in/z"], arrays["in/w_mix"])
    for name, cutoff in (
        ("trunc_default_call", 8),
        ("trunc_psi0.7_cutoff4", 4),
        ("trunc_validation_psi_val0.7_cutoff_val8", 8),
    ):
        images, ws = truncated[cutoff]
        wanted = goldens.nhwc(arrays[f"out/{name}"])
        goldens.assert_close(images, wanted, IMAGES, name)
        goldens.assert_close(ws, arrays[f"out/{name}_w"], ACTIVATIONS, name)
    wanted = goldens.nhwc(arrays["out/images_from_w_mix_lod0.0"])
    goldens.assert_close(images_of_mixed, wanted, IMAGES)
    w = arrays["out/w"]
    mixed = mix_styles(w[[0, 1]], w[[1, 0]], jnp.array([3, 3]))
    np.testing.assert_array_equal(mixed, arrays["in/w_mix"])


@pytest.mark.parametrize(
    "name", ["d_32", pytest.param("d_128_auto", marks=pytest.mark.slow)]
)
def test_discriminator(name):
    file = f"stylegan1/{name}.npz"
    arrays, settings = goldens.arrays(file), goldens.settings(file)
    keys = [k for k in arrays if "scores_lod" in k]
    assert keys
    images = goldens.nhwc(arrays[f"in/images_batch{settings['batches'][0]}"])
    full = images.shape[1]
    networks, cases = {}, {}
    for key in keys:
        network, structure = key.split("/")[1], key.split("/")[3]
        label_size = int(network.removeprefix("D_label"))
        model, variables = interop.from_official(
            goldens.below(arrays, f"vars/{network}/"),
            "stylegan1",
            "discriminator",
            label_size=label_size,
            fused_scale=True if structure.endswith("True") else "auto",
            **settings["D_kwargs"],
        )
        same, _ = networks.setdefault(label_size, (model, variables))
        assert same == model  # the other arguments concern how, not what
        cases[key] = label_size, float(key.split("lod")[1])

    @jax.jit
    def run(variables, images, labels):
        """Return the scores by network and level of detail."""
        scores = {}
        for label_size, lod in set(cases.values()):
            level = LevelOfDetail.from_scalar(lod, full)
            size, block = level.resolution, full // level.resolution
            smaller = images.reshape(-1, size, block, size, block, 3).mean((2, 4))
            model, _ = networks[label_size]
            scores[label_size, lod] = model.apply(
                variables[label_size], smaller, labels if label_size else None, level
            )
        return scores

    variables = {
        label_size: variables for label_size, (_, variables) in networks.items()
    }
    scores = run(variables, images, arrays.get("in/labels10_batch8"))
    for key, case in cases.items():
        goldens.assert_close(scores[case], arrays[key][:, 0], SCORES, key)


def test_parameter_counts_at_1024():
    """The numbers of the official printout, from abstract shapes."""
    g, d = models.build(config.Model(), config.Data(), 0)
    variables = jax.eval_shape(g.init, jax.random.key(0), jnp.zeros((1, 512)))
    count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))  # noqa: E731
    assert count(variables["params"]) == 26_219_627
    assert count(variables["params"]["mapping"]) == 2_101_248
    assert g.num_ws == 18
    images = jnp.zeros((1, 1024, 1024, 3))
    assert count(jax.eval_shape(d.init, jax.random.key(0), images)) == 23_087_249
    baseline = config.Model(
        mapping_layers=0,
        styles=False,
        const_input=False,
        noise=False,
        instance_norm=False,
        pixel_norm=True,
    )
    g, _ = models.build(baseline, config.Data(), 0)
    variables = jax.eval_shape(g.init, jax.random.key(0), jnp.zeros((1, 512)))
    assert count(variables["params"]) == 23_079_115


def small(resolution=16, **options):
    shape = {"resolution": resolution, "channels": Channels(64, 16)}
    mapping = {"mapping_features": 8, "mapping_lr_multiplier": 1.0}
    g = Generator(z_dim=8, w_dim=8, **mapping, **shape, **options)
    options.pop("dtype", None)
    return g, Discriminator(**shape, **options)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_image_channels(channels):
    g, d = small(8, image_channels=channels)
    z = np.random.RandomState(0).normal(size=(4, 8))
    g_variables = random_variables(g, z)
    d_variables = random_variables(d, np.zeros((4, 8, 8, channels)))

    @jax.jit
    def run(g_variables, d_variables):
        images = g.apply(g_variables, z)
        return images, d.apply(d_variables, images)

    images, logits = run(g_variables, d_variables)
    chex.assert_shape(images, (4, 8, 8, channels))
    chex.assert_shape(logits, (4,))
    chex.assert_tree_all_finite((images, logits))


def test_bfloat16_differs_by_rounding_only():
    g, _ = small()
    g16, _ = small(dtype=jnp.bfloat16)
    z = np.random.RandomState(1).normal(size=(4, 8))
    run = jax.jit(lambda variables: (g.apply(variables, z), g16.apply(variables, z)))
    full, half = map(np.asarray, run(random_variables(g, z)))
    assert half.dtype == np.float32
    assert 0 < np.abs(half - full).max() < 0.1 * np.std(full)


@pytest.mark.slow
def test_inputs_of_other_dtypes_are_computed_in_float32():
    """Labels, images and fades of other dtypes give float32 results."""
    g, d = small(label_size=3)
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(2, 8)), np.array([[0, 1, 2], [3, 0, 1]], np.uint8)
    variables = g.init(jax.random.key(0), z, labels)
    d_variables = d.init(jax.random.key(0), np.zeros((2, 16, 16, 3)), labels)
    with jax.enable_x64(True):
        for fade in (0.3, np.float64(0.3), np.float32(1), jnp.ones(())):
            lod = LevelOfDetail(np.int64(16), fade)
            images = g.apply(variables, z, labels, lod, truncation_psi=fade)
            scores = d.apply(d_variables, np.float64(images), labels, lod)
            doubles = d.apply(d_variables, images, np.float64(labels), lod)
            assert images.dtype == scores.dtype == doubles.dtype == jnp.float32
            # The images that went through float64 were not changed by it.
            np.testing.assert_allclose(scores, doubles, rtol=1e-5)


def test_mistakes_of_users_raise():
    g, d = small(label_size=3)
    z, labels = np.zeros((2, 8)), np.zeros((2, 3))
    variables = jax.eval_shape(g.init, jax.random.key(0), z, labels)
    apply = functools.partial(jax.eval_shape, g.apply, variables)
    with pytest.raises(ValueError, match=r"takes one row of 3 numbers"):
        apply(z)
    with pytest.raises(ValueError, match=r"takes \[B, 8\]"):
        apply(np.zeros((2, 9)), labels)
    with pytest.raises(ValueError, match=r"has only the resolutions \[4, 8, 16\]"):
        apply(z, labels, LevelOfDetail(32))
    with pytest.raises(ValueError, match="HxW one of 4x4, 8x8, 16x16"):
        jax.eval_shape(d.init, jax.random.key(0), np.zeros((2, 16, 8, 3)), labels)
    unconditional, _ = small()
    with pytest.raises(ValueError, match="network without labels"):
        jax.eval_shape(unconditional.init, jax.random.key(0), z, labels)
