"""The table of detectors, and the loader of their weight files.

`KINDS` has the detectors that users can choose for the metrics of papers.
EfficientNet-Lite0 is not one of them: metrics of its features have names of their own.

This package contains no weights except the 1,472 numbers of LPIPS; see `published`.
"""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylegan_jax.metrics.networks import (
    efficientnet,
    efficientnet_weights,
    inception_weights,
    vgg_weights,
)
from stylegan_jax.metrics.networks.detector import NetworkDetector
from stylegan_jax.metrics.networks.efficientnet import EfficientNetLite0
from stylegan_jax.metrics.networks.inception import SIZE as INCEPTION_SIZE
from stylegan_jax.metrics.networks.inception import InceptionV3
from stylegan_jax.metrics.networks.published import find, sha256
from stylegan_jax.metrics.networks.resize import resize
from stylegan_jax.metrics.networks.vgg import SIZE as VGG_SIZE
from stylegan_jax.metrics.networks.vgg import VGG16, WIDTH
from stylegan_jax.models import Variables
from stylegan_jax.weights import files, safetensors


@dataclasses.dataclass(frozen=True)
class Kind:
    """A detector without its weights.

    Attributes:
      weights: Name of its weights in `published.WEIGHTS`.
      resize: One of `resize.MODES`.
      dimensions: Number of features.
      load: Function from the tensors of a file to variables.
      forward: Function (variables, resize, images uint8 [B,H,W,3]) -> (pool, logits or
        None).
      has_logits: True if it has the logits that the Inception Score needs.
    """

    weights: str
    resize: str
    dimensions: int
    load: Callable[[dict[str, np.ndarray]], Variables]
    forward: Callable[[Variables, str, jax.Array], tuple[jax.Array, Any]]
    has_logits: bool


# 0..255 maps to -1..127/128, by (x - 128) / 128, everywhere but in pytorch-fid.
def _inception(
    variables: Variables, mode: str, images: jax.Array, white: float = 127 / 128
) -> tuple[jax.Array, jax.Array]:
    images = resize(images, INCEPTION_SIZE, INCEPTION_SIZE, mode)
    images = images * ((white + 1.0) / 255.0) - 1.0
    outputs = InceptionV3().apply(variables, images)
    return outputs.pool, outputs.logits_unbiased


def _fc7(variables: Variables, mode: str, images: jax.Array) -> tuple[jax.Array, None]:
    images = resize(images, VGG_SIZE, VGG_SIZE, mode)
    return jax.nn.relu(VGG16().apply(variables, images)), None


def _efficientnet(
    variables: Variables, mode: str, images: jax.Array
) -> tuple[jax.Array, None]:
    images = resize(images, efficientnet.SIZE, efficientnet.SIZE, mode)
    return EfficientNetLite0().apply(variables, images), None


_INCEPTION = functools.partial(
    Kind,
    weights="inception",
    dimensions=2048,
    load=inception_weights.load,
    has_logits=True,
)
KINDS = {
    # The official FID, all of NVIDIA's code, torch-fidelity.
    "inception": _INCEPTION(resize="tf1_bilinear", forward=_inception),
    # pytorch-fid.
    "inception_pytorch_fid": _INCEPTION(
        resize="half_pixel_bilinear",
        forward=functools.partial(_inception, white=1.0),
    ),
    # clean-fid in mode "clean".
    "inception_clean_fid": _INCEPTION(resize="clean", forward=_inception),
    # Precision and recall.
    "vgg16": Kind("vgg16", "tf1_bilinear", WIDTH, vgg_weights.load, _fc7, False),
}
# Resized by the antialiased bicubic filter that Parmar et al. (2022) recommend, clipped
# to 0..255; the network was trained on images resized by a bicubic filter, too.
EFFICIENTNET = Kind(
    "efficientnet",
    "clean",
    efficientnet.WIDTH,
    efficientnet_weights.load,
    _efficientnet,
    has_logits=False,
)


def load(
    name: str,
    path: str | os.PathLike | None = None,
    batch_size: int = 32,
) -> NetworkDetector:
    """Return a detector, ready on the devices of this process.

    Args:
      name: One of KINDS.
      path: Path of its weights; see `published.find`.
      batch_size: Images in a batch, over these devices.

    Raises:
      ValueError: There is no such detector, the file is not for its network, or the
        batch does not divide evenly over the devices.
      WeightsNotFound: There is no such file, or the download failed.
    """
    if name not in KINDS:
        raise ValueError(f"there is no detector {name!r}; choose one of {list(KINDS)}")
    return _open(name, KINDS[name], path, batch_size)


def load_efficientnet(
    path: str | os.PathLike | None = None, batch_size: int = 32
) -> NetworkDetector:
    """Return EfficientNet-Lite0, ready on the devices of this process.

    Args:
      path: Path of its weights; None: those in the cache folder or in the package that
        the extra `metrics` installs.
      batch_size: Images in a batch, over these devices.

    Raises:
      ValueError: The file is not for this network, or the batch does not divide evenly
        over the devices.
      WeightsNotFound: There is no such file, or the package is not installed.
    """
    return _open("efficientnet_lite0", EFFICIENTNET, path, batch_size)


def _open(
    name: str,
    kind: Kind,
    path: str | os.PathLike | None,
    batch_size: int,
) -> NetworkDetector:
    path = find(kind.weights, path)
    return NetworkDetector(
        name=name,
        digest=sha256(path),
        resize=kind.resize,
        dimensions=kind.dimensions,
        forward=lambda variables, images: kind.forward(variables, kind.resize, images),
        variables=files.convert_tensors(path, kind.load),
        batch_size=batch_size,
    )


def save(name: str, path: str | os.PathLike, out: str | os.PathLike) -> None:
    """Write the weights of a file as safetensors, with the names of the .pth files.

    Args:
      name: One of `published.WEIGHTS`.
      path: Path of the weights in any format that can be read.
      out: Path of the new file, e.g. `cache_folder() / "inception.safetensors"`.

    Raises:
      ValueError: There are no such weights, or the file holds others.
    """
    modules = {
        "inception": inception_weights,
        "vgg16": vgg_weights,
        "efficientnet": efficientnet_weights,
    }
    if name not in modules:
        raise ValueError(
            f"there are no weights {name!r}; choose one of {list(modules)}"
        )
    path, module = Path(path), modules[name]
    arrays = module.save(files.convert_tensors(path, module.load))
    metadata = {"network": name, "from": path.name, "sha256": sha256(path)}
    safetensors.write(out, arrays, metadata)
