"""The official StyleGAN (2019) networks: their arguments, names and layouts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from stylegan_jax.config import is_resolution
from stylegan_jax.interop import layout
from stylegan_jax.interop.arguments import Arguments, is_number
from stylegan_jax.interop.layout import Entry, Layout
from stylegan_jax.models import Variables
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan1 import Discriminator, Generator, LayerOptions

# Arguments that only steer the official training graph or set the defaults of a
# call; ours takes them where the network is called or trained.
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

MODELS = (Generator, Discriminator)
FULLY_GROWN = np.zeros((), np.float32)  # level of detail


def build(network: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """The module that the official arguments of a network describe."""
    return _generator(kwargs) if network == "generator" else _discriminator(kwargs)


def from_official(
    arrays: Mapping[str, np.ndarray], network: str, kwargs: Mapping[str, Any]
) -> tuple[nn.Module, Variables]:
    """See `interop.from_official`."""
    model = build(network, kwargs)
    variables = layout.load(
        _entries(model),
        arrays,
        f"StyleGAN {network} with these arguments ({dict(kwargs)})",
        "`resolution`, `label_size` and the switches that add or remove layers",
        "`fmap_base`, `fmap_max` and the latent sizes",
    )
    return model, variables


def to_official(model: nn.Module, variables: Variables) -> dict[str, np.ndarray]:
    """See `interop.to_official`."""
    return layout.save(_entries(model), variables)


def same_network(a: nn.Module, b: nn.Module) -> bool:
    """Whether two modules are one network, however they compute it."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Discriminator):
        return a == b.clone(
            dtype=a.dtype, plain_resampling=a.plain_resampling, winograd=a.winograd
        )
    plain = {"plain_resampling": a.options.plain_resampling}
    options = dataclasses.replace(b.options, **plain)
    flips = [[g.flips_kernel(r) for r in g.resolutions] for g in (a, b)]
    alike = b.clone(
        dtype=a.dtype,
        fused_scale=a.fused_scale,
        options=options,
        winograd=a.winograd,
    )
    return a == alike and flips[0] == flips[1]


_SAME = Layout()
_CONST = Layout(  # [1,C,4,4] <-> [4,4,C]
    lambda a: a[0].transpose(1, 2, 0), lambda a: a.transpose(2, 0, 1)[None]
)
_NOISE = Layout(  # [1,1,H,W] <-> [1,H,W,1]
    lambda a: a.transpose(0, 2, 3, 1), lambda a: a.transpose(0, 3, 1, 2)
)
_CHW_OUTPUTS = Layout(  # [I, C*4*4] <-> [I, 4*4*C]
    lambda a: a.reshape(len(a), -1, 4, 4).transpose(0, 2, 3, 1).reshape(a.shape),
    lambda a: a.reshape(len(a), 4, 4, -1).transpose(0, 3, 1, 2).reshape(a.shape),
)
_CHW_INPUTS = Layout(  # [C*4*4, O] <-> [4*4*C, O]
    lambda a: _CHW_OUTPUTS.load(a.T).T, lambda a: _CHW_OUTPUTS.save(a.T).T
)


def _entries(model: nn.Module) -> list[Entry]:
    if isinstance(model, Generator):
        return _generator_entries(model)
    if isinstance(model, Discriminator):
        return _discriminator_entries(model)
    raise ValueError(f"{type(model).__name__} is not a network of StyleGAN (2019)")


def _weights(
    name: str, shape: tuple[int, ...], *path: str, layout: Layout = _SAME
) -> list[Entry]:
    """Weight and bias of a `Dense` or `Conv` at `path`."""
    return [
        Entry(f"{name}/weight", shape, ("params", *path, "kernel", "weight"), layout),
        Entry(f"{name}/bias", shape[-1:], ("params", *path, "bias", "bias")),
    ]


def _generator_entries(g: Generator) -> list[Entry]:
    entries = [
        Entry("lod", (), ("official", "lod"), constant=FULLY_GROWN),
        Entry(
            "G_synthesis/lod",
            (),
            ("official", "synthesis_lod"),
            constant=FULLY_GROWN,
        ),
        Entry("dlatent_avg", (g.w_dim,), ("stats", "w_avg")),
    ]
    inputs = g.z_dim
    if g.label_size:
        name, shape = "G_mapping/LabelConcat/weight", (g.label_size, g.z_dim)
        entries.append(Entry(name, shape, ("params", "mapping", "label_embedding")))
        inputs = 2 * g.z_dim
    for i in range(g.mapping_layers):
        outputs = g.w_dim if i == g.mapping_layers - 1 else g.mapping_features
        path = ("mapping", f"dense{i}")
        entries += _weights(f"G_mapping/Dense{i}", (inputs, outputs), *path)
        inputs = outputs
    w_dim = inputs
    features = g.channels(4)
    if g.const_input:
        path = ("params", "input", "const")
        name, shape = "G_synthesis/4x4/Const/const", (1, features, 4, 4)
        entries.append(Entry(name, shape, path, _CONST))
    else:
        path = ("params", "input", "kernel", "weight")
        name, shape = "G_synthesis/4x4/Dense/weight", (w_dim, 16 * features)
        entries.append(Entry(name, shape, path, _CHW_OUTPUTS))
    for i in range(2 * len(g.resolutions)):
        inputs, features = features, g.channels(4 << i // 2)
        entries += _layer_entries(g, i, inputs, features, w_dim)
    for i, r in enumerate(g.resolutions):
        if not g.growing and r < g.resolution:
            continue
        name = f"G_synthesis/ToRGB_lod{len(g.resolutions) - 1 - i}"
        shape = (1, 1, g.channels(r), g.image_channels)
        entries += _weights(name, shape, f"to_rgb_{i}")
    return entries


def _layer_entries(
    g: Generator, i: int, inputs: int, features: int, w_dim: int
) -> list[Entry]:
    r = 4 << i // 2
    names = (
        ("Const" if g.const_input else "Dense", "Conv")
        if r == 4
        else (
            "Conv0_up",
            "Conv1",
        )
    )
    name, layer = f"G_synthesis/{r}x{r}/{names[i % 2]}", f"layers_{i}"
    entries = [Entry(f"{name}/bias", (features,), ("params", layer, "bias", "bias"))]
    if i:
        shape, path = (3, 3, inputs, features), ("params", layer, "kernel", "weight")
        entries.append(Entry(f"{name}/weight", shape, path))
    if g.options.noise:
        path = ("params", layer, "noise", "strength")
        entries.append(Entry(f"{name}/Noise/weight", (features,), path))
        path = ("noise", layer, "noise", "const")
        entries.append(Entry(f"G_synthesis/noise{i}", (1, 1, r, r), path, _NOISE))
    if g.options.styles:
        path = (layer, "style", "affine")
        entries += _weights(f"{name}/StyleMod", (w_dim, 2 * features), *path)
    return entries


def _discriminator_entries(d: Discriminator) -> list[Entry]:
    entries = [Entry("lod", (), ("official", "lod"), constant=FULLY_GROWN)]
    for i, r in enumerate(d.resolutions):
        if not d.growing and r < d.resolution:
            continue
        name = f"FromRGB_lod{len(d.resolutions) - 1 - i}"
        shape = (1, 1, d.image_channels, d.channels(r))
        entries += _weights(name, shape, f"from_rgb_{i}")
    for i, r in enumerate(d.resolutions[1:]):
        block, c, c_down = f"blocks_{i}", d.channels(r), d.channels(r // 2)
        entries += _weights(f"{r}x{r}/Conv0", (3, 3, c, c), block, "conv")
        name, path = f"{r}x{r}/Conv1_down", ("params", block)
        entries += [
            Entry(
                f"{name}/weight", (3, 3, c, c_down), (*path, "down_kernel", "weight")
            ),
            Entry(f"{name}/bias", (c_down,), (*path, "down_bias", "bias")),
        ]
    c4, c2 = d.channels(4), d.channels(2)
    extra = d.mbstd_features if d.mbstd_group_size > 1 else 0
    entries += _weights("4x4/Conv", (3, 3, c4 + extra, c4), "conv")
    entries += _weights("4x4/Dense0", (16 * c4, c2), "dense0", layout=_CHW_INPUTS)
    entries += _weights("4x4/Dense1", (c2, max(d.label_size, 1)), "dense1")
    return entries


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
        normalize_z=a.take("normalize_latents", True, (True, False)),
        channels=_channels(a),
        const_input=a.take("const_input_layer", True, (True, False)),
        options=LayerOptions(
            styles=a.take("use_styles", True, (True, False)),
            noise=a.take("use_noise", True, (True, False)),
            pixel_norm=a.take("use_pixel_norm", False, (True, False)),
            instance_norm=a.take("use_instance_norm", True, (True, False)),
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
    a.take("fused_scale", "auto", ("auto", True, False))  # the same function here
    model = Discriminator(
        resolution=a.count("resolution", 32),
        image_channels=a.count("num_channels", 1),
        label_size=a.count("label_size", 0),
        channels=_channels(a),
        nonlinearity=a.take("nonlinearity", "lrelu", ("lrelu", "relu")),
        blur_filter=_blur_filter(a),
        mbstd_group_size=max(a.count("mbstd_group_size", 4), 1),  # 0 means the same
        mbstd_features=a.count("mbstd_num_features", 1),
        plain_resampling=True,
        growing=_growing(a),
    )
    return _finish(a, model)


def _growing(a: Arguments) -> bool:
    """Whether there are images of all resolutions; how they are made is the same."""
    structures = ("auto", "linear", "recursive", "fixed")
    return a.take("structure", "auto", structures) != "fixed"


def _finish(a: Arguments, model):
    a.take("use_wscale", True, (True,))
    a.take("dtype", "float32", ("float32",))
    if not is_resolution(model.resolution):
        raise ValueError(
            f"resolution={model.resolution} must be a power of two from 4 to 1024"
        )
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
