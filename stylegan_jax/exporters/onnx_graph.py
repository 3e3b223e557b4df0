"""An ONNX graph under construction.

Arrays are broadcast lazily: an array that JAX broadcasts keeps its axes of length 1
here, since the operations of ONNX broadcast like NumPy's. `Graph.full` expands it where
an operation needs the full array. Only the batch axis, which must be the first, has an
unknown length.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from jax import export
from jax.extend import core
from onnx import helper, numpy_helper

BATCH = "N"
Shape = tuple[int | None, ...]  # None is the batch size


class OnnxError(ValueError):
    """Error for a network with an operation that cannot be converted."""


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """An array of the graph.

    Attributes:
      shape: its shape; axes that have not been broadcast yet have length 1.
      wanted: its shape in JAX.
      dtype: its type.
      constant: its content if it is known.
      name: its name in the graph if the content is not known.
    """

    shape: Shape
    wanted: Shape
    dtype: np.dtype
    constant: np.ndarray | None = None
    name: str | None = None

    @property
    def is_constant(self) -> bool:
        """True if the content is known."""
        return self.constant is not None


class Graph:
    """A graph under construction."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.batch_of: Value | None = None  # an input whose first axis is the batch
        self._names: dict[Any, str] = {}
        self._batch: str | None = None

    def node(
        self,
        op: str,
        inputs: Sequence[Value | np.ndarray],
        shape: Shape,
        wanted: Shape | None = None,
        dtype: np.dtype | type = np.float32,
        **attributes: Any,
    ) -> Value:
        """Add a node and return its output; `wanted` defaults to `shape`."""
        name = f"v{len(self.nodes)}"
        names = [self.name(x) for x in inputs]
        self.nodes.append(helper.make_node(op, names, [name], **attributes))
        wanted = shape if wanted is None else wanted
        return Value(tuple(shape), tuple(wanted), np.dtype(dtype), name=name)

    def name(self, value: Value | np.ndarray) -> str:
        """Return the name of a value; constants become initializers."""
        if isinstance(value, Value) and not value.is_constant:
            return value.name
        array = np.asarray(value.constant if isinstance(value, Value) else value)
        # Equal small constants share an initializer; large ones are shared only if they
        # are the same object, because comparing them is slow.
        key = (array.dtype.str, array.shape, array.tobytes())
        key = key if array.size <= 64 else id(array)
        if key not in self._names:
            name = self._names[key] = f"c{len(self.initializers)}"
            tensor = numpy_helper.from_array(np.ascontiguousarray(array), name)
            tensor.dims[:] = array.shape  # ascontiguousarray adds an axis to scalars
            self.initializers.append(tensor)
            self._names[name] = array  # keeps the object alive, and thus its id unique
        return self._names[key]

    def full(self, value: Value, batch: bool = False) -> Value:
        """Broadcast a value along all axes if `batch`, else all but the batch axis."""
        if batch and value.wanted[:1] == (None,) and value.shape[0] is not None:
            return self._repeated(value)
        shape = tuple(
            have if want is None else want
            for have, want in zip(value.shape, value.wanted, strict=True)
        )
        if shape == value.shape:
            return value
        if value.is_constant:
            array = np.broadcast_to(value.constant, shape)
            return dataclasses.replace(value, shape=shape, constant=array)
        sizes = np.array([1 if n is None else n for n in shape], np.int64)
        return self.node("Expand", [value, sizes], shape, value.wanted, value.dtype)

    def reshape(self, value: Value, shape: Shape, wanted: Shape) -> Value:
        """Reshape a value; the batch axis stays."""
        if shape == value.shape:
            return dataclasses.replace(value, wanted=wanted)
        if value.is_constant:
            array = value.constant.reshape(shape)
            return Value(shape, wanted, value.dtype, constant=array)
        sizes = np.array([0 if n is None else n for n in shape], np.int64)
        return self.node("Reshape", [value, sizes], shape, wanted, value.dtype)

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """Permute the axes of a value."""
        shape, wanted = (
            tuple(s[i] for i in order) for s in (value.shape, value.wanted)
        )
        perm = [int(i) for i in order]
        return self.node("Transpose", [value], shape, wanted, value.dtype, perm=perm)

    def _repeated(self, value: Value) -> Value:
        if self._batch is None:
            shape = self.node("Shape", [self.batch_of], (1,), dtype=np.int64, end=1)
            self._batch = shape.name
        rest = np.array(value.wanted[1:], np.int64)
        batch = Value((1,), (1,), np.dtype(np.int64), name=self._batch)
        sizes = self.node(
            "Concat", [batch, rest], (len(value.shape),), dtype=np.int64, axis=0
        )
        return self.node("Expand", [value, sizes], value.wanted, dtype=value.dtype)


def shape_of(shape: Sequence[Any], eqn: core.JaxprEqn | None = None) -> Shape:
    """Return a shape of JAX with None for the batch size."""
    out = tuple(None if export.is_symbolic_dim(n) else int(n) for n in shape)
    is_batch = all(str(n) == BATCH for n in shape if export.is_symbolic_dim(n))
    if None in out[1:] or not is_batch:
        raise unsupported(
            eqn, f"has the shape {shape}, whose first axis is not the batch"
        )
    return out


def check_keeps_batch(eqn: core.JaxprEqn, value: Value, axes: Sequence[int]) -> None:
    """Raise OnnxError if an operation over some axes combines images of a batch."""
    if any(value.wanted[axis] is None for axis in axes):
        raise unsupported(eqn, "combines the images of a batch")


def unsupported(eqn: core.JaxprEqn, problem: str) -> OnnxError:
    """Return the error for an operation that cannot be converted."""
    layer = str(eqn.source_info.name_stack) or "the network"
    shapes = ", ".join(str(getattr(v.aval, "shape", ())) for v in eqn.invars)
    return OnnxError(
        f"the operation `{eqn.primitive.name}` of {shapes} in {layer} {problem}, so "
        "this network cannot be exported as ONNX; use --format=stablehlo, which "
        "supports every network"
    )
