"""Makes detectors of files of weights; the table of those that there are.

No weights are part of this package but the 1,472 numbers of LPIPS; see `published`.
"""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.metrics.networks import (
    downloads,
    inception_weights,
    lpips,
    vgg_weights,
    weight_files,
)
from stylegan_jax.metrics.networks import inception as inception_v3
from stylegan_jax.metrics.networks import vgg as vgg16
from stylegan_jax.metrics.networks.detector import Batches, NetworkDetector, rgb
from stylegan_jax.metrics.networks.published import find, sha256
from stylegan_jax.metrics.networks.resize import resize
from stylegan_jax.models import Variables
from stylegan_jax.weights import safetensors

LPIPS_HEADS = Path(__file__).parent / "assets" / "lpips_vgg_v0.1.safetensors"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A detector, all but its weights.

    Attributes:
      weights: of `published.WEIGHTS`.
      resize: of `resize.MODES`.
      dimensions: of its features.
      load: tensors of a file -> variables.
      forward: (variables, resize, images uint8 [B,H,W,3]) -> (pool, logits or None).
      has_logits: whether it gives any, which the Inception Score is of.
    """

    weights: str
    resize: str
    dimensions: int
    load: Callable[[dict[str, np.ndarray]], Variables]
    forward: Callable[[Variables, str, jax.Array], tuple[jax.Array, Any]]
    has_logits: bool


# 0..255 becomes -1..127/128, (x - 128) / 128, everywhere but in pytorch-fid.
def _inception(
    variables: Variables, mode: str, images: jax.Array, white: float = 127 / 128
) -> tuple[jax.Array, jax.Array]:
    size = inception_v3.SIZE
    images = resize(images, size, size, mode)
    images = images * ((white + 1.0) / 255.0) - 1.0
    outputs = inception_v3.InceptionV3().apply(variables, images)
    return outputs.pool, outputs.logits_unbiased


def _fc7(variables: Variables, mode: str, images: jax.Array) -> tuple[jax.Array, None]:
    images = resize(images, vgg16.SIZE, vgg16.SIZE, mode)
    return jax.nn.relu(vgg16.VGG16().apply(variables, images)), None


_INCEPTION = functools.partial(
    Kind,
    weights="inception",
    dimensions=2048,
    load=inception_weights.load,
    has_logits=True,
)
KINDS = {
    # The official FID, all of NVIDIA's, torch-fidelity.
    "inception": _INCEPTION(resize="tf1_bilinear", forward=_inception),
    # pytorch-fid.
    "inception_pytorch_fid": _INCEPTION(
        resize="half_pixel_bilinear",
        forward=functools.partial(_inception, white=1.0),
    ),
    # clean-fid's mode "clean".
    "inception_clean_fid": _INCEPTION(resize="clean", forward=_inception),
    # Precision and recall.
    "vgg16": Kind("vgg16", "tf1_bilinear", vgg16.WIDTH, vgg_weights.load, _fc7, False),
}


def load(
    name: str,
    path: str | os.PathLike | None = None,
    batch_size: int = 32,
    progress: downloads.Progress | None = None,
) -> NetworkDetector:
    """A detector, ready on the devices of this process.

    Args:
      name: of KINDS.
      path: of its weights, see `find`.
      batch_size: images at a time, over these devices.
      progress: see `find`.

    Raises:
      ValueError: there is no such detector, the file is not of its network, or the
        batch does not divide by the devices.
      WeightsNotFound: there is no such file, or the download failed.
    """
    if name not in KINDS:
        raise ValueError(f"there is no detector {name!r}; choose of {list(KINDS)}")
    kind = KINDS[name]
    path = find(kind.weights, path, progress)
    return NetworkDetector(
        name=name,
        digest=sha256(path),
        resize=kind.resize,
        dimensions=kind.dimensions,
        forward=lambda variables, images: kind.forward(variables, kind.resize, images),
        variables=_loaded(kind.load, path),
        batch_size=batch_size,
    )


class Perceptual:
    """LPIPS distances of images.

    Attributes:
      name: "lpips".
      digest: SHA-256 of the file of VGG16's weights, a plus, and that of LPIPS's.
      variables: what `lpips.distance` takes, to be traced into a program of one's own.
    """

    name = "lpips"

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        heads_path: str | os.PathLike = LPIPS_HEADS,
        batch_size: int = 32,
        progress: downloads.Progress | None = None,
    ) -> None:
        """Finds the weights and puts them onto the devices.

        Args:
          path: of VGG16's weights, see `find`.
          heads_path: of LPIPS's, version 0.1 for VGG16, e.g. vgg.pth.
          batch_size: pairs at a time, over the devices of this process.
          progress: see `find`.

        Raises:
          ValueError: as `load`.
          WeightsNotFound: as `load`.
        """
        path, heads_path = find("vgg16", path, progress), Path(heads_path).expanduser()
        heads = _loaded(lpips.load_heads, heads_path)
        variables = _loaded(vgg_weights.load_convolutions, path)
        self.variables = variables | {"heads": heads}
        self.digest = f"{sha256(path)}+{sha256(heads_path)}"
        self._run = Batches(_of_uint8, self.variables, batch_size)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The distances [N] float32 of pairs of images.

        Args:
          a: [N,H,W,C] uint8, C 1 or 3, any N; at their size, none is resized.
          b: the same.

        Raises:
          ValueError: the images are of another kind, or not pairs.
        """
        a, b = rgb(a), rgb(b)
        if a.shape != b.shape:
            raise ValueError(f"pairs of images differ in shape: {a.shape}, {b.shape}")
        return self._run(a, b)


def _of_uint8(variables: Variables, a: jax.Array, b: jax.Array) -> jax.Array:
    a, b = (jnp.asarray(x, jnp.float32) / 127.5 - 1.0 for x in (a, b))
    return lpips.distance(variables, a, b)


def _loaded(make: Callable[[dict[str, np.ndarray]], Any], path: Path) -> Any:
    """What a function makes of the tensors of a file; errors name the file."""
    tensors = weight_files.read(path)
    try:
        return make(tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save(name: str, path: str | os.PathLike, out: str | os.PathLike) -> None:
    """Writes the weights of a file as safetensors, with the names of the .pth files.

    Args:
      name: of `published.WEIGHTS`.
      path: of weights that can be read.
      out: e.g. `cache_folder() / "inception.safetensors"`.

    Raises:
      ValueError: there are no such weights, or the file is not of them.
    """
    modules = {"inception": inception_weights, "vgg16": vgg_weights}
    if name not in modules:
        raise ValueError(f"there are no weights {name!r}; choose of {list(modules)}")
    path, module = Path(path), modules[name]
    arrays = module.save(_loaded(module.load, path))
    metadata = {"network": name, "from": path.name, "sha256": sha256(path)}
    safetensors.write(out, arrays, metadata)
