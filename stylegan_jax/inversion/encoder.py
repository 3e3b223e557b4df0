"""An encoder from images to the latents of a generator, and its file.

    encoder = load("encoder.safetensors")
    encoder.check(network)
    ws = encoder(images)  # [N,H,W,C] uint8 -> [N,L,W]

It is small, and trained on samples of its own generator (`encoder_training`), so that
it gives a start for a projection rather than a result. The file's metadata holds JSON
under the key `stylegan_jax_encoder`.

Reference: Richardson et al. 2021, "Encoding in Style", and Tov et al. 2021, "Designing
an Encoder for StyleGAN Image Manipulation", for offsets from one w.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Mapping
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from stylegan_jax.config import image_size
from stylegan_jax.inversion.steps import padded
from stylegan_jax.layers.activations import activate
from stylegan_jax.layers.blocks import join
from stylegan_jax.layers.linear import Dense
from stylegan_jax.models import Channels
from stylegan_jax.models.stylegan2 import ConvLayer, DiscriminatorBlock, LayerOptions
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime.image_io import as_floats
from stylegan_jax.runtime.messages import listed, sides
from stylegan_jax.weights import safetensors
from stylegan_jax.weights.safetensors import FormatError

KEY = "stylegan_jax_encoder"  # of the description in the metadata
VERSION = 1
ENDING = ".safetensors"
BATCH = 16  # images that are encoded at a time
# The last layer begins small, so that the first guess is near the mean w.
OUTPUT_SCALE = 0.1


class EncoderNetwork(nn.Module):
    """Residual blocks as those of StyleGAN2's discriminator, and a dense head.

    Attributes:
      resolution: R of the images, a power of two from 4.
      w_dim: W.
      offset_layers: L for offsets of each style layer; 0 for none.
      channels: number of feature maps by resolution.
    """

    resolution: int
    w_dim: int
    offset_layers: int
    channels: Channels

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        """Map images to a latent in standard deviations from the mean.

        Args:
          images: [B,H,W,C] float32 in [-1,1].

        Returns:
          [B,W], and the offsets [B,L,W], None if there are none.
        """
        x, r, options = None, self.resolution, LayerOptions()
        while r > 4:
            block = DiscriminatorBlock(
                self.channels(r),
                self.channels(r // 2),
                options,
                from_rgb=x is None,
                residual=True,
                freeze=0,
                dtype=jnp.float32,
                name=f"block_{r}",
            )
            x, r = block(x, images), r // 2
        x = images if x is None else join(x)
        x = ConvLayer(self.channels(4), 3, options, name="conv")(x)
        x = Dense(self.channels(4), name="dense")(x.reshape(len(x), -1))
        x = activate(x, "lrelu")
        w = Dense(self.w_dim, gain=1.0, kernel_init=OUTPUT_SCALE, name="w")(x)
        if not self.offset_layers:
            return w, None
        size = self.offset_layers * self.w_dim
        offsets = Dense(size, gain=1.0, kernel_init=0.0, name="offsets")(x)
        return w, offsets.reshape(len(x), self.offset_layers, self.w_dim)


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """A trained encoder.

    Attributes:
      module: its network.
      params: its parameters.
      mean: [W], the mean w of the generator.
      scale: standard deviation of a component of w.
      size: height and width of the images.
      image_channels: C of the images.
      num_ws: L of the generator.
      reference: name of the generator.
      fingerprint: of the generator, see `direction.fingerprint`.
      facts: numbers of its training, such as its steps and distances.
    """

    module: EncoderNetwork
    params: Any
    mean: np.ndarray
    scale: float
    size: tuple[int, int]
    image_channels: int
    num_ws: int
    reference: str
    fingerprint: str
    facts: Mapping[str, float]

    def __call__(self, images: np.ndarray, *, offsets: bool = True) -> np.ndarray:
        """Return the latents of images.

        Args:
          images: [N,H,W,C] uint8.
          offsets: add the offsets of the style layers, if the encoder has them.

        Returns:
          ws [N,L,W] float32, not truncated.

        Raises:
          ValueError: the images have another size, type or number of channels.
        """
        images = np.asarray(images)
        wanted = (*self.size, self.image_channels)
        if images.shape[1:] != wanted or images.dtype != np.uint8 or not len(images):
            raise ValueError(
                f"images are {list(images.shape)} {images.dtype}; this encoder takes "
                f"[N, {', '.join(map(str, wanted))}] uint8, images of "
                f"{sides(self.size)} (width x height)"
            )
        found = []
        for i in range(0, len(images), BATCH):
            part = images[i : i + BATCH]
            x = as_floats(padded(part, BATCH))
            found.append(np.asarray(encode(self.module, self.params, x)[not offsets]))
        w = np.concatenate(found)[: len(images)]
        w = w if w.ndim == 3 else np.repeat(w[:, None], self.num_ws, axis=1)
        return (self.mean + self.scale * w).astype(np.float32)

    def check(self, network: Network, resolution: int | None = None) -> None:
        """Raise ValueError unless this encoder was trained for a network.

        Args:
          network: the network.
          resolution: of its images; None for the highest.
        """
        if network.fingerprint != self.fingerprint:
            raise ValueError(
                f"the encoder was trained for another network: for {self.reference} "
                f"with the fingerprint {self.fingerprint[:12]}, and "
                f"{network.reference} has {network.fingerprint[:12]}; train one with "
                "`python -m stylegan_jax.encoder`"
            )
        generator, lod = network.generator, network.level(resolution)
        here = image_size(generator.base_size, lod.resolution)
        if here != self.size or generator.num_ws != self.num_ws:
            raise ValueError(
                f"the encoder takes images of {sides(self.size)} (width x height), and "
                f"those of {network.reference} are {sides(here)}; train another"
            )


@functools.partial(jax.jit, static_argnums=0)
def encode(
    module: EncoderNetwork, params: Any, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return latents with and without offsets, in standard deviations from the mean.

    Args:
      module: the network.
      params: its parameters.
      images: [B,H,W,C] float32.

    Returns:
      [B,L,W] with the offsets, or [B,W] if there are none; and [B,W].
    """
    w, offsets = module.apply({"params": params}, images)
    return (w if offsets is None else w[:, None] + offsets), w


def save(encoder: Encoder, path: str | os.PathLike) -> None:
    """Write an encoder; replace a file atomically."""
    module = encoder.module
    description = {
        "version": VERSION,
        "resolution": module.resolution,
        "w_dim": module.w_dim,
        "offset_layers": module.offset_layers,
        "channels": dataclasses.asdict(module.channels),
        "size": list(encoder.size),
        "image_channels": encoder.image_channels,
        "num_ws": encoder.num_ws,
        "scale": encoder.scale,
        "network": {
            "reference": encoder.reference,
            "fingerprint": encoder.fingerprint,
        },
        "facts": dict(encoder.facts),
    }
    params = traverse_util.flatten_dict(jax.device_get(encoder.params), sep="/")
    arrays = {f"params/{name}": value for name, value in params.items()}
    arrays["mean"] = encoder.mean
    safetensors.write(path, arrays, {KEY: json.dumps(description)})


def load(path: str | os.PathLike) -> Encoder:
    """Read a file that `save` wrote.

    Raises:
      ValueError: the file is damaged, or not one of an encoder.
      OSError: the file cannot be read.
    """
    try:
        arrays, metadata = safetensors.read(path)
        if KEY not in metadata:
            raise FormatError(
                "it is a safetensors file, but has no description of an encoder; use a "
                "file that `python -m stylegan_jax.encoder` wrote"
            )
        return _encoder(arrays, metadata[KEY])
    except ValueError as error:
        raise ValueError(f"encoder {path} cannot be used: {error}") from error


def _encoder(arrays: dict[str, np.ndarray], text: str) -> Encoder:
    try:
        found = json.loads(text)
        if found["version"] != VERSION:
            raise FormatError(
                f"its description has version {found['version']!r}; this program reads "
                f"version {VERSION}, and a newer one may read it"
            )
        module = EncoderNetwork(
            found["resolution"],
            found["w_dim"],
            found["offset_layers"],
            Channels(**found["channels"]),
        )
        encoder = Encoder(
            module=module,
            params=None,
            mean=arrays.pop("mean"),
            scale=float(found["scale"]),
            size=tuple(found["size"]),
            image_channels=found["image_channels"],
            num_ws=found["num_ws"],
            reference=found["network"]["reference"],
            fingerprint=found["network"]["fingerprint"],
            facts=found["facts"],
        )
        images = jax.ShapeDtypeStruct(
            (1, *encoder.size, encoder.image_channels), jnp.float32
        )
        shapes = jax.eval_shape(module.init, jax.random.key(0), images)["params"]
        chex.assert_shape(encoder.mean, (module.w_dim,))
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError) as error:
        raise FormatError(f"its description is damaged: {error}") from error
    wanted = {
        f"params/{name}": leaf.shape
        for name, leaf in traverse_util.flatten_dict(shapes, sep="/").items()
    }
    wrong = sorted(
        name
        for name in wanted.keys() | arrays.keys()
        if name not in arrays or arrays[name].shape != wanted.get(name)
    )
    if wrong:
        raise FormatError(
            f"the arrays {listed(wrong[:5])} are missing, unknown, or of another shape "
            "than its description says"
        )
    flat = {name.removeprefix("params/"): value for name, value in arrays.items()}
    params = jax.device_put(traverse_util.unflatten_dict(flat, sep="/"))
    return dataclasses.replace(encoder, params=params)
