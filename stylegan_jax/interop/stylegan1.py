"""The networks of StyleGAN (2019): official arguments, names and layouts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from stylegan_jax.config import check_resolution
from stylegan_jax.interop.arguments import Arguments, is_number
from stylegan_jax.interop.source import Source
from stylegan_jax.layers.matmul import PLAIN_FORMS
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan1 import Discriminator, Generator, LayerOptions
from stylegan_jax.weights import layout
from stylegan_jax.weights.layout import IDENTITY, LEADING_AXIS, NCHW, TRANSPOSED, Entry

# Arguments that only affect the official training graph or set the defaults of a call;
# ours takes them in calls and in training instead.
_IGNORED = frozenset(
    {
        "truncation_psi",
        "truncation_cutoff",
        "truncation_psi_val",
        "truncation_cutoff_val",
        "dlatent_avg_beta",
        "style_mixing_prob",
        "randomize_noise",
        "is_training",
        "is_validation",
        "is_template_graph",
        "force_clean_graph",
        "dlatent_broadcast",
        "func_name",
    }
)

FULLY_GROWN = np.zeros((), np.float32)  # level of detail

_CONST = LEADING_AXIS.then(layout.permuted(1, 2, 0))  # [1,C,4,4] <-> [4,4,C]
_CHW_INPUTS = layout.chw_rows(4, 4)  # [C*4*4, O] <-> [4*4*C, O]
_CHW_OUTPUTS = TRANSPOSED.then(_CHW_INPUTS).then(TRANSPOSED)


def build(network: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """Return the module that the official arguments of a network describe."""
    return _generator(kwargs) if network == "generator" else _discriminator(kwargs)


def same_network(a: nn.Module, b: nn.Module) -> bool:
    """Return True if two modules are one network, regardless of computation."""
    if type(a) is not type(b):
        return False
    computation = {
        name: getattr(a, name)
        for name in (
            *("dtype", "low_precision_resolutions"),
            *("float32_precision", *PLAIN_FORMS),
        )
    }
    if isinstance(a, Discriminator):
        return a == b.clone(plain_resampling=a.plain_resampling, **computation)
    plain = {"plain_resampling": a.options.plain_resampling}
    options = dataclasses.replace(b.options, **plain)
    flips = [[g.flips_kernel(r) for r in g.resolutions] for g in (a, b)]
    b = b.clone(fused_scale=a.fused_scale, options=options, **computation)
    return a == b and flips[0] == flips[1]


# Names


def entries(model: nn.Module) -> list[Entry]:
    """Return the official variables of a network.

    Raises:
      ValueError: StyleGAN has no such network.
    """
    if isinstance(model, Generator):
        return _generator_entries(model)
    if isinstance(model, Discriminator):
        return _discriminator_entries(model)
    raise ValueError(f"{type(model).__name__} is not a network of StyleGAN (2019)")


def _weight_and_bias(
    name: str,
    shape: tuple[int, ...],
    *path: str,
    kernel: str = "kernel",
    bias: str = "bias",
    layout: layout.Layout = IDENTITY,
) -> list[Entry]:
    """Return the entries of the `Dense` or `Conv` at `path`."""
    return [
        Entry(f"{name}/weight", shape, ("params", *path, kernel, "weight"), layout),
        Entry(f"{name}/bias", shape[-1:], ("params", *path, bias, "bias")),
    ]


def _level_of_detail(name: str, variable: str) -> Entry:
    return Entry(name, (), ("official", variable), constant=FULLY_GROWN)


def _generator_entries(g: Generator) -> list[Entry]:
    entries = [
        _level_of_detail("lod", "lod"),
        _level_of_detail("G_synthesis/lod", "synthesis_lod"),
        Entry("dlatent_avg", (g.w_dim,), ("stats", "w_avg")),
    ]

    # Mapping; without layers, its input is w.
    inputs = g.z_dim
    if g.label_size:
        name, shape = "G_mapping/LabelConcat/weight", (g.label_size, g.z_dim)
        entries.append(Entry(name, shape, ("params", "mapping", "label_embedding")))
        inputs = 2 * g.z_dim
    for i in range(g.mapping_layers):
        outputs = g.w_dim if i == g.mapping_layers - 1 else g.mapping_features
        name, path = f"G_mapping/Dense{i}", ("mapping", f"dense{i}")
        entries += _weight_and_bias(name, (inputs, outputs), *path)
        inputs = outputs
    w_dim = inputs

    # Synthesis: the input, two layers per resolution, the outputs.
    features = g.channels(4)
    if g.const_input:
        name, path = "G_synthesis/4x4/Const/const", ("params", "input", "const")
        entries.append(Entry(name, (1, features, 4, 4), path, _CONST))
    else:
        name, path = "G_synthesis/4x4/Dense/weight", ("params", "input", "kernel")
        shape = (w_dim, 16 * features)
        entries.append(Entry(name, shape, (*path, "weight"), _CHW_OUTPUTS))
    for i in range(2 * len(g.resolutions)):
        inputs, features = features, g.channels(4 << i // 2)
        entries += _layer_entries(g, i, inputs, features, w_dim)
    for i, r in enumerate(g.resolutions):
        if g.growing or r == g.resolution:
            name = f"G_synthesis/ToRGB_lod{len(g.resolutions) - 1 - i}"
            shape = (1, 1, g.channels(r), g.image_channels)
            entries += _weight_and_bias(name, shape, f"to_rgb_{i}")
    return entries


def _layer_entries(
    g: Generator, i: int, inputs: int, features: int, w_dim: int
) -> list[Entry]:
    """Return the entries of layer `i` of the synthesis network."""
    r, layer = 4 << i // 2, f"layers_{i}"
    if r == 4:
        names = ("Const" if g.const_input else "Dense", "Conv")
    else:
        names = ("Conv0_up", "Conv1")
    name = f"G_synthesis/{r}x{r}/{names[i % 2]}"
    entries = _weight_and_bias(name, (3, 3, inputs, features), layer)
    if i == 0:
        del entries[0]  # the input takes the convolution's place
    if g.options.noise:
        path = ("params", layer, "noise", "strength")
        entries.append(Entry(f"{name}/Noise/weight", (features,), path))
        path = ("noise", layer, "noise", "const")
        entries.append(Entry(f"G_synthesis/noise{i}", (1, 1, r, r), path, NCHW))
    if g.options.styles:
        path, shape = (layer, "style", "affine"), (w_dim, 2 * features)
        entries += _weight_and_bias(f"{name}/StyleMod", shape, *path)
    return entries


def _discriminator_entries(d: Discriminator) -> list[Entry]:
    entries = [_level_of_detail("lod", "lod")]
    for i, r in enumerate(d.resolutions):
        if d.growing or r == d.resolution:
            name = f"FromRGB_lod{len(d.resolutions) - 1 - i}"
            shape = (1, 1, d.image_channels, d.channels(r))
            entries += _weight_and_bias(name, shape, f"from_rgb_{i}")
    for i, r in enumerate(d.resolutions[1:]):
        block, c, c_down = f"blocks_{i}", d.channels(r), d.channels(r // 2)
        entries += _weight_and_bias(f"{r}x{r}/Conv0", (3, 3, c, c), block, "conv")
        entries += _weight_and_bias(
            f"{r}x{r}/Conv1_down",
            (3, 3, c, c_down),
            block,
            kernel="down_kernel",
            bias="down_bias",
        )
    c4, c2 = d.channels(4), d.channels(2)
    extra = d.mbstd_features if d.mbstd_group_size > 1 else 0
    return [
        *entries,
        *_weight_and_bias("4x4/Conv", (3, 3, c4 + extra, c4), "conv"),
        *_weight_and_bias("4x4/Dense0", (16 * c4, c2), "dense0", layout=_CHW_INPUTS),
        *_weight_and_bias("4x4/Dense1", (c2, max(d.label_size, 1)), "dense1"),
    ]


# Arguments


def _generator(kwargs: Mapping[str, Any]) -> Generator:
    a = Arguments(kwargs, "stylegan1 generator", ignored=_IGNORED)
    model = Generator(
        resolution=a.count("resolution", 1024),
        image_channels=a.count("num_channels", 3),
        z_dim=a.count("latent_size", 512),
        w_dim=a.count("dlatent_size", 512),
        label_size=a.count("label_size", 0),
        mapping_layers=a.count("mapping_layers", 8),
        mapping_features=a.count("mapping_fmaps", 512),
        mapping_lr_multiplier=a.number("mapping_lrmul", 0.01),
        mapping_nonlinearity=a.take("mapping_nonlinearity", "lrelu", ("lrelu", "relu")),
        normalize_z=a.flag("normalize_latents", True),
        channels=_channels(a),
        const_input=a.flag("const_input_layer", True),
        options=LayerOptions(
            styles=a.flag("use_styles", True),
            noise=a.flag("use_noise", True),
            pixel_norm=a.flag("use_pixel_norm", False),
            instance_norm=a.flag("use_instance_norm", True),
            nonlinearity=a.take("nonlinearity", "lrelu", ("lrelu", "relu")),
            blur_filter=_blur_filter(a),
            plain_resampling=True,
        ),
        fused_scale=a.take("fused_scale", "auto", ("auto", True, False)),
        growing=_growing(a),
    )
    return _finish(a, model)


def _discriminator(kwargs: Mapping[str, Any]) -> Discriminator:
    a = Arguments(kwargs, "stylegan1 discriminator", ignored=_IGNORED)
    a.take("fused_scale", "auto", ("auto", True, False))  # makes no difference here
    model = Discriminator(
        resolution=a.count("resolution", 32),
        image_channels=a.count("num_channels", 1),
        label_size=a.count("label_size", 0),
        channels=_channels(a),
        nonlinearity=a.take("nonlinearity", "lrelu", ("lrelu", "relu")),
        blur_filter=_blur_filter(a),
        # A group size of 0 has the same effect as 1.
        mbstd_group_size=max(a.count("mbstd_group_size", 4), 1),
        mbstd_features=a.count("mbstd_num_features", 1),
        plain_resampling=True,
        growing=_growing(a),
    )
    return _finish(a, model)


def _growing(a: Arguments) -> bool:
    """Return True if the network has images of all resolutions.

    The official structures differ only in how they compute them.
    """
    structures = ("auto", "linear", "recursive", "fixed")
    return a.take("structure", "auto", structures) != "fixed"


def _finish(a: Arguments, model):
    a.take("use_wscale", True, (True,))
    a.take("dtype", "float32", ("float32",))
    check_resolution(model.resolution, "resolution")
    a.done()
    return model


def _channels(a: Arguments) -> Channels:
    return Channels(
        a.number("fmap_base", 8192),
        a.count("fmap_max", 512),
        a.number("fmap_decay", 1.0),
    )


def _blur_filter(a: Arguments) -> tuple[int, ...]:
    taps = a.take("blur_filter", (1, 2, 1))
    if taps is None:
        return ()
    if not isinstance(taps, (list, tuple, np.ndarray)) or not all(map(is_number, taps)):
        raise ValueError(f"blur_filter={taps!r} must be a list of numbers or None")
    return tuple(np.asarray(taps).tolist())


SOURCE = Source(
    title="StyleGAN",
    models=(Generator, Discriminator),
    build=build,
    entries=entries,
    same_network=same_network,
    check_names="`resolution`, `label_size` and the switches that add or remove layers",
    check_shapes="`fmap_base`, `fmap_max` and the latent sizes",
)
