"""The exported functions of a network, with the names of their inputs.

    mapping    z, label, psi -> ws
    synthesis  ws -> images
    generator  z, label, psi -> images

Only conditional networks have the input `label`. The weights and the fixed noise maps
are constants of the programs.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax import config
from stylegan_jax.layers.matmul import fastest_forms
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime.messages import listed

PARTS = ("generator", "mapping", "synthesis")
SCALAR = ()
FORMAT = "stylegan_jax program"  # marks the description of a program


@dataclasses.dataclass(frozen=True)
class Program:
    """A function of a network.

    Attributes:
      part: one of PARTS.
      function: (*inputs) -> output, arrays of float32.
      inputs: shape of each input without the batch axis; None for the scalar `psi`.
      output: name of the output.
      output_shape: its shape, without the batch axis.
    """

    part: str
    function: Callable[..., jax.Array]
    inputs: dict[str, tuple[int, ...] | None]
    output: str
    output_shape: tuple[int, ...]

    def arguments(self, batch: Any) -> list[jax.ShapeDtypeStruct]:
        """Return the shapes and types of the inputs for a batch size or a symbol."""
        return [
            jax.ShapeDtypeStruct(
                SCALAR if shape is None else (batch, *shape), jnp.float32
            )
            for shape in self.inputs.values()
        ]


def program(network: Network, part: str, dtype: Any = None) -> Program:
    """Return a part of a network as a program.

    Args:
      network: the network.
      part: one of PARTS.
      dtype: type of the activations; None keeps the network's.

    Raises:
      ValueError: there is no such part.
    """
    if part not in PARTS:
        raise ValueError(f"part (={part!r}) must be one of {listed(PARTS)}")
    # The program selects the forms for CPUs at run time, if it runs on one.
    generator = network.generator.clone(**fastest_forms("cpu"), remat="none")
    if dtype is not None:
        generator = generator.clone(dtype=dtype)
    variables = jax.device_get(network.variables)

    def mapping(z: jax.Array, *label_and_psi: jax.Array) -> jax.Array:
        *label, psi = label_and_psi
        ws = generator.apply(variables, z, *label, method="map")
        return generator.apply(variables, ws, psi, method="truncate")

    def synthesis(ws: jax.Array) -> jax.Array:
        return generator.apply(variables, ws, network.lod, method="synthesize")

    latents: dict[str, tuple[int, ...] | None] = {"z": (generator.z_dim,)}
    if network.classes:
        latents["label"] = (len(network.classes),)
    latents["psi"] = None
    styles = (generator.num_ws, generator.w_dim)
    size = config.image_size(generator.base_size, network.resolution)
    images = (*size, generator.image_channels)
    match part:
        case "mapping":
            return Program(part, mapping, latents, "ws", styles)
        case "synthesis":
            return Program(part, synthesis, {"ws": styles}, "images", images)
    return Program(
        part, lambda *args: synthesis(mapping(*args)), latents, "images", images
    )


def is_description(about: Any) -> bool:
    """Return True for JSON data that `description` returned."""
    return isinstance(about, dict) and about.get("format") == FORMAT


def description(network: Network, program: Program) -> dict[str, Any]:
    """Return the facts that a user of the program needs, as JSON data."""
    generator = network.generator
    shapes = {
        name: [] if shape is None else ["N", *shape]
        for name, shape in program.inputs.items()
    }
    return {
        "format": FORMAT,
        "network": network.name,
        "part": program.part,
        "inputs": shapes,
        "outputs": {program.output: ["N", *program.output_shape]},
        "dtype": "float32",
        "resolution": network.resolution,
        "z_dim": generator.z_dim,
        "w_dim": generator.w_dim,
        "num_ws": generator.num_ws,
        "classes": list(network.classes),
        "images_seen": network.checkpoint,
        "noise": "const",
    }
