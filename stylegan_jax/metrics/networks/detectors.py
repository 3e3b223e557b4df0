"""Finds the weights of feature networks, and makes detectors of them.

Weights come from a file that is named, else from the cache folder, else from the
address where their authors published them; none is part of this package but the 1,472
numbers of LPIPS.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.interop import safetensors
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
from stylegan_jax.metrics.networks.resize import resize
from stylegan_jax.models import Variables

CACHE_VARIABLE = "STYLEGAN_JAX_CACHE"  # of the environment: a folder
LPIPS_HEADS = Path(__file__).parent / "assets" / "lpips_vgg_v0.1.safetensors"


class WeightsNotFound(OSError):
    """There are no weights here, and they cannot be fetched."""


@dataclasses.dataclass(frozen=True)
class Published:
    """Weights as their authors published them.

    Attributes:
      file: its name; the digits in it are how its SHA-256 begins.
      url: where it is.
      sha256_prefix: these digits. More is not known with certainty.
      others: names of other files of these weights, looked for in the cache folder:
        they are published too, or ours.
    """

    file: str
    url: str
    sha256_prefix: str
    others: tuple[str, ...]


WEIGHTS = {
    "inception": Published(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
        (
            "weights-inception-2015-12-05-6726825d.pth",
            "inception-2015-12-05.pt",
            "inception.safetensors",
        ),
    ),
    "vgg16": Published(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af",
        ("vgg16.pt", "vgg16.safetensors"),
    ),
}


def cache_folder() -> Path:
    """Where weights are looked for and kept."""
    root = os.environ.get(CACHE_VARIABLE) or "~/.cache/stylegan_jax"
    return Path(root).expanduser() / "detectors"


def find(
    name: str,
    path: str | os.PathLike | None = None,
    progress: downloads.Progress | None = None,
) -> Path:
    """The file of a network's weights; downloaded if it is nowhere here.

    Args:
      name: of WEIGHTS.
      path: of the file, if it is known.
      progress: told about a download; a bar on stderr by default.

    Raises:
      ValueError: there is no such network.
      WeightsNotFound: there is no such file, or the download failed.
    """
    published = _published(name)
    if path is not None:
        path = Path(path).expanduser()
        if not path.is_file():
            raise WeightsNotFound(
                f"there is no file {path} with the weights of {name}; leave the option "
                f"out to use those in {cache_folder()}, or else download them"
            )
        return path
    folder = cache_folder()
    for file in (published.file, *published.others):
        if (folder / file).is_file():
            return folder / file
    target = folder / published.file
    try:
        downloads.download(
            published.url,
            target,
            published.sha256_prefix,
            progress or downloads.Bar(published.file),
        )
    except OSError as error:
        raise WeightsNotFound(
            f"the weights of {name} are not here, and {error}. Download "
            f"{published.url} on a machine that can, and put it into {folder} (or "
            f"into another folder, with {CACHE_VARIABLE} in the environment for "
            f"the one around `detectors`), or name it: --detector=PATH"
        ) from error
    return target


def _published(name: str) -> Published:
    if name not in WEIGHTS:
        raise ValueError(f"there are no weights {name!r}; choose of {list(WEIGHTS)}")
    return WEIGHTS[name]


def digest(name: str, path: Path) -> str:
    """SHA-256 of a file of weights.

    Raises:
      ValueError: the file's name tells another one.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    prefix = _published(name).sha256_prefix
    if f"-{prefix}." in path.name and not found.startswith(prefix):
        raise ValueError(
            f"{path} is damaged or another file: its SHA-256 begins with "
            f"{found[: len(prefix)]}, that of the published file with {prefix}. Delete "
            "it and let it be downloaded again, or rename it if it is meant to be so"
        )
    return found


@dataclasses.dataclass(frozen=True)
class Kind:
    """A detector, all but its weights.

    Attributes:
      weights: of WEIGHTS.
      resize: of `resize.MODES`.
      dimensions: of its features.
      load: tensors of a file -> variables.
      forward: (variables, resize, images uint8 [B,H,W,3]) -> (pool, logits or None).
    """

    weights: str
    resize: str
    dimensions: int
    load: Callable[[dict[str, np.ndarray]], Variables]
    forward: Callable[[Variables, str, jax.Array], tuple[jax.Array, Any]]


def _inception(
    variables: Variables, mode: str, images: jax.Array, halve: bool = False
) -> tuple[jax.Array, jax.Array]:
    size = inception_v3.SIZE
    images = resize(images, size, size, mode)
    # pytorch-fid has 255 at 1; all others have it at 0.992.
    images = images / 127.5 - 1.0 if halve else (images - 128.0) / 128.0
    outputs = inception_v3.InceptionV3().apply(variables, images)
    return outputs.pool, outputs.logits_unbiased


def _fc7(variables: Variables, mode: str, images: jax.Array) -> tuple[jax.Array, None]:
    images = resize(images, vgg16.SIZE, vgg16.SIZE, mode)
    return jax.nn.relu(vgg16.VGG16().apply(variables, images)), None


_INCEPTION = functools.partial(
    Kind, weights="inception", dimensions=2048, load=inception_weights.load
)
KINDS = {
    # The official FID, all of NVIDIA's, torch-fidelity.
    "inception": _INCEPTION(resize="tf1_bilinear", forward=_inception),
    # pytorch-fid.
    "inception_pytorch_fid": _INCEPTION(
        resize="half_pixel_bilinear",
        forward=functools.partial(_inception, halve=True),
    ),
    # clean-fid's mode "clean".
    "inception_clean_fid": _INCEPTION(resize="clean", forward=_inception),
    # Precision and recall.
    "vgg16": Kind("vgg16", "tf1_bilinear", vgg16.WIDTH, vgg_weights.load, _fc7),
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
        digest=digest(kind.weights, path),
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
        self.digest = f"{digest('vgg16', path)}+{digest('vgg16', heads_path)}"
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
      name: of WEIGHTS.
      path: of weights that can be read.
      out: e.g. `cache_folder() / "inception.safetensors"`.

    Raises:
      ValueError: as `load`.
    """
    make, unmake = {
        "inception": (inception_weights.load, inception_weights.save),
        "vgg16": (vgg_weights.load, vgg_weights.save),
    }[name]
    path = Path(path)
    metadata = {"network": name, "from": path.name, "sha256": digest(name, path)}
    safetensors.write(out, unmake(_loaded(make, path)), metadata)
