"""An encoder from images to the latents of a generator, and its file.

    encoder = load("encoder.safetensors")
    encoder.check(network)
    ws = encoder(images)  # [N,H,W,C] uint8 -> [N,L,W]

It is small and trained on samples of its own generator (`encoder_training`), so its
latents are the start of a projection rather than a final result. The file's metadata
holds JSON under the key `stylegan_jax_encoder`.

Reference: Richardson et al. 2021, "Encoding in Style"; and Tov et al. 2021, "Designing
an Encoder for StyleGAN Image Manipulation", for one w with an offset for each layer.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

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
from stylegan_jax.runtime import outputs
from stylegan_jax.runtime.image_io import as_floats
from stylegan_jax.runtime.messages import sides
from stylegan_jax.weights import described
from stylegan_jax.weights.described import is_count, is_number

KEY = "stylegan_jax_encoder"  # key of the description in the metadata
KIND = described.Kind(KEY, version=1, name="encoder", program="encoder")
ENDING = ".safetensors"
RESOLUTIONS = [2**i for i in range(2, 15)]
BATCH = 16  # images that are encoded at a time
# The initial weights of the last layer are small, so that w starts near its mean.
OUTPUT_SCALE = 0.1


class EncoderNetwork(nn.Module):
    """The residual blocks of StyleGAN2's discriminator, and a dense head.

    Attributes:
      resolution: R of the images, a power of two from 4.
      w_dim: W.
      offset_layers: L, to add an offset for each style layer; 0 for no offsets.
      channels: number of feature maps at each resolution.
    """

    resolution: int
    w_dim: int
    offset_layers: int
    channels: Channels

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        """Map images to latents, in standard deviations from the mean.

        Args:
          images: [B,H,W,C] float32 in [-1,1].

        Returns:
          w [B,W]; and the offsets [B,L,W], None if there are none.
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
      fingerprint: fingerprint of the generator; see `direction.fingerprint`.
      facts: numbers from its training, such as the steps and the final distances.
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
          resolution: resolution of its images; None is the highest.
        """
        if network.fingerprint != self.fingerprint:
            raise ValueError(
                "the encoder was trained for another network: "
                f"{self.reference} with the fingerprint {self.fingerprint[:12]}, while "
                f"{network.reference} has {network.fingerprint[:12]}; train one for "
                "this network with `python -m stylegan_jax.encoder`"
            )
        generator, lod = network.generator, network.level(resolution)
        here = image_size(generator.base_size, lod.resolution)
        mine = (*self.size, self.image_channels, self.num_ws)
        if mine != (*here, generator.image_channels, generator.num_ws):
            raise ValueError(
                f"the encoder takes images of {sides(self.size)} (width x height) with "
                f"{self.image_channels} channels for {self.num_ws} style layers, but "
                f"those of {network.reference} are {sides(here)} with "
                f"{generator.image_channels} channels for {generator.num_ws} style "
                "layers; train an encoder for them"
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
    """Write an encoder to a file, atomically."""
    module = encoder.module
    description = {
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
    described.write(path, KIND, arrays, description)


def load(path: str | os.PathLike) -> Encoder:
    """Read a file that `save` wrote.

    Raises:
      ValueError: the file is damaged, or does not hold an encoder.
      OSError: the file cannot be read.
    """
    return described.read(path, KIND, _encoder)


def of_flag(path: str | None) -> Encoder | None:
    """Return the encoder of the flag --encoder, None if it is not given.

    Raises:
      ValueError: there is no such file, or it cannot be used.
    """
    return None if path is None else load(outputs.input_file(path, "--encoder"))


def _encoder(arrays: dict[str, np.ndarray], found: dict[str, Any]) -> Encoder:
    channels = found.get("channels")
    resolution, layers = found.get("resolution"), found.get("num_ws")
    described.require(
        {
            "resolution": is_count(resolution) and resolution in RESOLUTIONS,
            "w_dim": is_count(found.get("w_dim")),
            "num_ws": is_count(layers),
            "offset_layers": is_count(found.get("offset_layers"), 0)
            and found["offset_layers"] in (0, layers),
            "channels": isinstance(channels, dict)
            and channels.keys() == {"base", "maximum", "decay"}
            and is_count(channels["base"])
            and is_count(channels["maximum"])
            and is_number(channels["decay"]),
            "size": is_count(resolution) and _is_size(found.get("size"), resolution),
            "image_channels": is_count(found.get("image_channels"))
            and found["image_channels"] in (1, 3, 4),
            "scale": is_number(found.get("scale")) and found["scale"] > 0,
            "network": described.is_network(found.get("network")),
            "facts": described.are_numbers(found.get("facts")),
        }
    )
    module = EncoderNetwork(
        resolution, found["w_dim"], found["offset_layers"], Channels(**channels)
    )
    size = tuple(found["size"])
    images = jax.ShapeDtypeStruct((1, *size, found["image_channels"]), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)["params"]
    wanted = {"mean": (module.w_dim,)} | {
        f"params/{name}": leaf.shape
        for name, leaf in traverse_util.flatten_dict(shapes, sep="/").items()
    }
    arrays = described.float32_arrays(arrays, wanted)
    mean = arrays.pop("mean")
    flat = {name.removeprefix("params/"): value for name, value in arrays.items()}
    return Encoder(
        module=module,
        params=jax.device_put(traverse_util.unflatten_dict(flat, sep="/")),
        mean=mean,
        scale=found["scale"],
        size=size,
        image_channels=found["image_channels"],
        num_ws=layers,
        reference=found["network"]["reference"],
        fingerprint=found["network"]["fingerprint"],
        facts=found["facts"],
    )


def _is_size(value: Any, resolution: int) -> bool:
    """Return True for the height and width of images of a resolution."""
    pair = isinstance(value, list) and len(value) == 2 and all(map(is_count, value))
    return pair and all(4 * side % resolution == 0 for side in value)
