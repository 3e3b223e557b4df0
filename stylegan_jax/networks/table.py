"""The layers of a network as a table: parameters, buffers, output shapes and types.

The columns are those of the official PyTorch code. The network is only traced with
abstract arrays, so nothing is computed or compiled.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
from flax import traverse_util

from stylegan_jax import config
from stylegan_jax.layers.linear import Bias, EqualizedKernel
from stylegan_jax.layers.noise import NoiseInjection
from stylegan_jax.layers.normalization import StyleModulation
from stylegan_jax.models import Discriminator, Generator
from stylegan_jax.runtime.messages import aligned

COLUMNS = ("Parameters", "Buffers", "Output shape", "Datatype")
NESTING = 2  # levels of modules that have rows of their own
# Parts of a layer, whose variables are counted in the layer's row.
PARTS = (Bias, EqualizedKernel, NoiseInjection, StyleModulation)
Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer.

    Attributes:
      name: its name; modules within others are separated by dots.
      parameters: number of its parameters, excluding those of other rows.
      buffers: number of other values that it keeps, such as noise maps.
      shape: shape of its output, with N for the batch.
      dtype: dtype of its output.
    """

    name: str
    parameters: int
    buffers: int
    shape: str
    dtype: str


def rows(network: Generator | Discriminator) -> list[Row]:
    """Return the layers of a network, in the order in which they are computed."""
    outputs: dict[Path, Any] = {}

    def record(function, args, kwargs, context):
        output = function(*args, **kwargs)
        path = context.module.path
        is_part = isinstance(context.module, PARTS) or path[-1:] == ("affine",)
        is_call = context.method_name == "__call__"
        if is_call and 0 < len(path) <= NESTING and not is_part:
            outputs[path] = output
        return output

    with nn.intercept_methods(record):
        variables = jax.eval_shape(
            network.init, jax.random.key(0), *_abstract_inputs(network)
        )
    counts = {path: [0, 0] for path in outputs}
    rest: dict[Path, list[int]] = {}
    for (collection, *path), leaf in traverse_util.flatten_dict(variables).items():
        owner = _owner(tuple(path), outputs)
        count = counts[owner] if owner else rest.setdefault(tuple(path), [0, 0])
        count[collection != "params"] += math.prod(leaf.shape)
    found = [
        Row(".".join(path), *counts[path], _shape(output), str(output.dtype))
        for path, output in outputs.items()
        if any(counts[path])
    ]
    found += [Row(".".join(path), *count, "-", "-") for path, count in rest.items()]
    return found


def _abstract_inputs(network: Generator | Discriminator) -> list[Any]:
    """Return the shapes of one latent or image, and of its label."""
    if isinstance(network, Generator):
        shape = (1, network.z_dim)
    else:
        size = config.image_size(network.base_size, network.resolution)
        shape = (1, *size, network.image_channels)
    inputs = [jax.ShapeDtypeStruct(shape, "float32")]
    if network.label_size:
        inputs.append(jax.ShapeDtypeStruct((1, network.label_size), "float32"))
    return inputs


def _owner(path: Path, outputs: Mapping[Path, Any]) -> Path:
    """Return the innermost row that a variable belongs to; () for none."""
    inside = (path[:n] for n in range(NESTING, 0, -1))
    return next((part for part in inside if part in outputs), ())


def _shape(output: Any) -> str:
    return f"[{', '.join(['N', *map(str, output.shape[1:])])}]"


def text(title: str, layers: list[Row]) -> str:
    """Return rows as a table with a title in place of the first column's name."""
    cells = [(title, *COLUMNS), *[("---",) * (1 + len(COLUMNS))]]
    for row in layers:
        counts = (f"{n:,}" if n else "-" for n in (row.parameters, row.buffers))
        cells.append((row.name, *counts, row.shape, row.dtype))
    totals = (
        sum(getattr(r, name) for r in layers) for name in ("parameters", "buffers")
    )
    cells.append(cells[1])
    cells.append(("Total", *(f"{n:,}" if n else "-" for n in totals), "-", "-"))
    return "\n".join(aligned(cells))
