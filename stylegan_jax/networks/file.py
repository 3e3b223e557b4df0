"""A network as one file: arrays in the safetensors format, described in its header.

The header's metadata holds JSON under the key `stylegan_jax`: the `model` and `data`
sections of the configuration and what they constrain of the training, the classes, and
the level of detail. Nothing in such a file can be executed.
"""

import functools
import os
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from stylegan_jax import config, models, workdir
from stylegan_jax.models import LevelOfDetail, Variables
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime.messages import listed
from stylegan_jax.weights import described
from stylegan_jax.weights.safetensors import FormatError

KEY = "stylegan_jax"  # key of the description in the metadata
KIND = described.Kind(KEY, version=1, name="network", program="export")
DTYPES = {"float32": np.float32, "float16": np.float16}
# The settings of a training that a family constrains; the others are not stored.
CONSTRAINED_TRAINING = ("style_mixing_probability",)


def save(network: Network, path: str | os.PathLike, dtype: str = "float32") -> None:
    """Write the averaged generator of a network; replace a file atomically.

    Args:
      network: the network.
      path: the file, which ends in `.safetensors`.
      dtype: "float32", or "float16" for half the size; loaded arrays are float32.

    Raises:
      ValueError: the network has no configuration, or a number exceeds float16.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype (={dtype!r}) must be one of {listed(DTYPES)}")
    description, arrays = describe(network), {}
    flat = traverse_util.flatten_dict(jax.device_get(network.variables), sep="/")
    for name, value in flat.items():
        with np.errstate(over="ignore"):
            arrays[name] = np.asarray(value).astype(DTYPES[dtype])
        if not np.isfinite(arrays[name]).all() and np.isfinite(value).all():
            raise ValueError(f"{name} exceeds the range of {dtype}; use float32")
    described.write(path, KIND, arrays, description)


def describe(network: Network) -> dict[str, Any]:
    """Return the description of a network in its file, as JSON data.

    Raises:
      ValueError: the network has no configuration.
    """
    if network.experiment is None:
        raise ValueError(
            f"{network.reference} uses options that a configuration cannot express, so "
            "it cannot be saved in this format; export it as --format=stablehlo "
            "or onnx"
        )
    settings = config.to_dict(network.experiment)
    return {
        "config": {
            **{section: settings[section] for section in ("data", "model")},
            "training": {
                name: settings["training"][name] for name in CONSTRAINED_TRAINING
            },
        },
        "classes": list(network.classes),
        "label_vectors": network.label_vectors,
        "resolution": network.lod.resolution,
        "fade": float(network.lod.fade),
        "images_seen": network.checkpoint,
        "step": network.step,
    }


def load(path: str | os.PathLike, reference: str) -> Network:
    """Read a file that `save` wrote.

    Args:
      path: the file.
      reference: the user's name for it, for `Network.reference` and messages.

    Raises:
      ValueError: the file is damaged, or not one of a network.
      OSError: the file cannot be read.
    """
    parse = functools.partial(_network, reference=reference)
    return described.read(path, KIND, parse, reference)


def _network(
    arrays: dict[str, np.ndarray], description: dict[str, Any], reference: str
) -> Network:
    get = description.get
    described.require(
        {
            "config": isinstance(get("config"), dict),
            "classes": isinstance(get("classes"), list)
            and all(isinstance(name, str) for name in get("classes")),
            "label_vectors": isinstance(get("label_vectors", False), bool),
            "resolution": described.is_count(get("resolution")),
            "fade": described.is_number(get("fade")),
            "images_seen": described.is_count(get("images_seen"), 0),
            "step": get("step") is None or described.is_count(get("step"), 0),
        }
    )
    e = config.parse(description["config"])
    classes = tuple(description["classes"])
    if e.data.conditional != bool(classes):
        raise FormatError("its description is damaged: classes and config disagree")
    generator, _ = models.build(e.model, e.data, len(classes))
    lod = LevelOfDetail(description["resolution"], description["fade"])
    if lod.resolution not in generator.resolutions or not 0 <= lod.fade <= 1:
        raise FormatError(f"its description is damaged: it says {lod}")
    return Network(
        generator=generator,
        variables=_variables(generator, arrays, len(classes)),
        experiment=e,
        lod=lod,
        classes=classes,
        label_vectors=get("label_vectors", False),  # older files lack it
        checkpoint=description["images_seen"],
        step=get("step"),
        reference=reference,
    )


def _variables(
    generator: models.Generator, arrays: dict[str, np.ndarray], label_size: int
) -> Variables:
    """Return the arrays as the variables of a generator, float32 on the device."""
    abstract = workdir.abstract_variables(generator, label_size)
    wanted = traverse_util.flatten_dict(abstract, sep="/")
    shapes = {name: leaf.shape for name, leaf in wanted.items()}
    loaded = {
        name: jax.device_put(array, wanted[name].sharding)
        for name, array in described.float32_arrays(arrays, shapes).items()
    }
    return traverse_util.unflatten_dict(loaded, sep="/")
