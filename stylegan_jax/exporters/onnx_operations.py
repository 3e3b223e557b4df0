"""The JAX operations that networks use, as ONNX nodes.

Each operation is a function (graph, equation, inputs, wanted shape) -> output or
outputs. Matrix products and convolutions are in `onnx_products`.
"""

from collections.abc import Callable

import numpy as np
from jax.extend import core
from onnx import helper

from stylegan_jax.exporters import onnx_products
from stylegan_jax.exporters.onnx_graph import (
    Graph,
    Shape,
    Value,
    check_keeps_batch,
    unsupported,
)

Operation = Callable[[Graph, core.JaxprEqn, list[Value], Shape], Value | list[Value]]


def _elementwise(op: str, dtype: type | None = None) -> Operation:
    def convert(graph, eqn, inputs, wanted):
        return _broadcast_node(graph, op, inputs, wanted, dtype or inputs[-1].dtype)

    return convert


def _broadcast_node(graph, op, inputs, wanted, dtype):
    """Add a node whose inputs are broadcast against each other."""
    rank = len(wanted)
    shapes = [(1,) * (rank - len(x.shape)) + x.shape for x in inputs]
    shape = tuple(
        None if None in sizes else max(sizes) for sizes in zip(*shapes, strict=True)
    )
    return graph.node(op, inputs, shape, wanted, dtype)


def _chain(*ops: str) -> Operation:
    """Return the operation that applies several unary operations in turn."""

    def convert(graph, eqn, inputs, wanted):
        (x,) = inputs
        for op in ops:
            x = graph.node(op, [x], x.shape, wanted, x.dtype)
        return x

    return convert


def _square(graph, eqn, inputs, wanted):
    return _broadcast_node(graph, "Mul", inputs * 2, wanted, inputs[0].dtype)


def _not_equal(graph, eqn, inputs, wanted):
    equal = _broadcast_node(graph, "Equal", inputs, wanted, bool)
    return graph.node("Not", [equal], equal.shape, wanted, bool)


def _integer_pow(graph, eqn, inputs, wanted):
    exponent = np.float32(eqn.params["y"])
    return graph.node("Pow", [inputs[0], exponent], inputs[0].shape, wanted)


def _expm1(graph, eqn, inputs, wanted):
    x = graph.node("Exp", inputs, inputs[0].shape, wanted)
    return graph.node("Sub", [x, np.float32(1)], x.shape, wanted)


def _log1p(graph, eqn, inputs, wanted):
    x = graph.node("Add", [inputs[0], np.float32(1)], inputs[0].shape, wanted)
    return graph.node("Log", [x], x.shape, wanted)


def _select(graph, eqn, inputs, wanted):
    if len(inputs) != 3 or inputs[0].dtype != bool:
        raise unsupported(eqn, "selects among more than two")
    predicate, if_false, if_true = inputs
    ordered = [predicate, if_true, if_false]
    return _broadcast_node(graph, "Where", ordered, wanted, if_true.dtype)


def _convert_type(graph, eqn, inputs, wanted):
    (x,) = inputs
    dtype = np.dtype(eqn.params["new_dtype"])
    if dtype == x.dtype:
        return x
    if dtype not in (np.float32, np.int32, bool):
        raise unsupported(eqn, f"converts to {dtype}")
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    return graph.node("Cast", [x], x.shape, wanted, dtype, to=kind)


def _identity(graph, eqn, inputs, wanted):
    return inputs[0]


def _barrier(graph, eqn, inputs, wanted):
    """Return the inputs; an optimization barrier has no meaning in ONNX."""
    return list(inputs)


def _broadcast(graph, eqn, inputs, wanted):
    """Move the axes to their places; new axes have length 1."""
    axes = eqn.params["broadcast_dimensions"]
    shape = [1] * len(wanted)
    for axis, size in zip(axes, inputs[0].shape, strict=True):
        shape[axis] = size
    return graph.reshape(inputs[0], tuple(shape), wanted)


def _reshape(graph, eqn, inputs, wanted):
    x = graph.full(inputs[0])
    if x.wanted[:1] != wanted[:1] and None in x.wanted[:1] + wanted[:1]:
        raise unsupported(eqn, "moves the batch axis")
    shape = wanted if x.shape[:1] == wanted[:1] else (1, *wanted[1:])
    return graph.reshape(x, shape if None in wanted else wanted, wanted)


def _transpose(graph, eqn, inputs, wanted):
    return graph.transpose(inputs[0], eqn.params["permutation"])


def _slice(graph, eqn, inputs, wanted):
    x = graph.full(inputs[0])
    starts = eqn.params["start_indices"]
    strides = eqn.params["strides"] or (1,) * len(starts)
    limits = eqn.params["limit_indices"]
    ranges = {
        axis: (starts[axis], limits[axis], strides[axis])
        for axis, size in enumerate(x.wanted)
        if size is not None
        and (starts[axis], limits[axis], strides[axis]) != (0, size, 1)
    }
    return _sliced(graph, x, ranges, wanted)


def _sliced(
    graph: Graph, x: Value, ranges: dict[int, tuple[int, int, int]], wanted: Shape
) -> Value:
    """Return a slice [start, limit, stride] along some axes."""
    if not ranges:
        return x
    columns = np.array([[*r, axis] for axis, r in ranges.items()], np.int64).T
    starts, limits, strides, axes = columns
    shape = (x.shape[0], *wanted[1:]) if wanted[:1] == (None,) else wanted
    return graph.node(
        "Slice", [x, starts, limits, axes, strides], shape, wanted, x.dtype
    )


def _reverse(graph, eqn, inputs, wanted):
    x = graph.full(inputs[0])
    backwards = (-1, np.iinfo(np.int32).min, -1)
    return _sliced(graph, x, dict.fromkeys(eqn.params["dimensions"], backwards), wanted)


def _gather(graph, eqn, inputs, wanted):
    """Convert x[:, i] and x[:, i:j] with constant i and j to a slice."""
    x, indices = graph.full(inputs[0]), inputs[1]
    dims = eqn.params["dimension_numbers"]
    sizes = eqn.params["slice_sizes"]
    rest = [a for a in range(len(sizes)) if a not in dims.collapsed_slice_dims]
    is_slice = (
        indices.is_constant
        and indices.constant.ndim == 1
        and dims.offset_dims == tuple(range(len(rest)))
        and not dims.operand_batching_dims
        and not any(x.wanted[axis] is None for axis in dims.start_index_map)
    )
    if not is_slice:
        raise unsupported(eqn, "gathers elements at positions that are not constant")
    ranges = {
        axis: (int(start), int(start) + sizes[axis], 1)
        for axis, start in zip(dims.start_index_map, indices.constant, strict=True)
    }
    part = [n if n is None else sizes[a] for a, n in enumerate(x.wanted)]
    y = _sliced(graph, x, ranges, tuple(part))
    return graph.reshape(y, tuple(y.shape[a] for a in rest), wanted)


def _pad(graph, eqn, inputs, wanted):
    x, value = graph.full(inputs[0]), inputs[1]
    before, after, between = zip(*eqn.params["padding_config"], strict=True)
    if any(between) or not value.is_constant:
        raise unsupported(eqn, "pads between elements, or with a computed value")
    if not any(before) and not any(after):
        return x
    if x.wanted[0] is None and (before[0] or after[0]):
        raise unsupported(eqn, "pads the batch")
    widths = np.array([*before, *after], np.int64)
    shape = (x.shape[0], *wanted[1:]) if wanted[:1] == (None,) else wanted
    return graph.node("Pad", [x, widths, value], shape, wanted, x.dtype)


def _split(graph, eqn, inputs, wanted):
    axis, sizes = eqn.params["axis"], eqn.params["sizes"]
    check_keeps_batch(eqn, inputs[0], (axis,))
    x = graph.full(inputs[0])
    outputs, start = [], 0
    for size in sizes:
        part = (*x.wanted[:axis], size, *x.wanted[axis + 1 :])
        outputs.append(_sliced(graph, x, {axis: (start, start + size, 1)}, part))
        start += size
    return outputs


def _concatenate(graph, eqn, inputs, wanted):
    axis = eqn.params["dimension"]
    check_keeps_batch(eqn, inputs[0], (axis,))
    parts = [graph.full(graph.full(x, batch=True)) for x in inputs]
    return graph.node("Concat", parts, wanted, dtype=inputs[0].dtype, axis=axis)


def _stack(graph, eqn, inputs, wanted):
    axis = eqn.params["axis"]
    shape = (*wanted[:axis], 1, *wanted[axis + 1 :])
    parts = [graph.full(graph.full(x, batch=True)) for x in inputs]
    parts = [graph.reshape(x, shape, shape) for x in parts]
    return graph.node("Concat", parts, wanted, dtype=inputs[0].dtype, axis=axis)


def _reduce_sum(graph, eqn, inputs, wanted):
    axes = eqn.params["axes"]
    check_keeps_batch(eqn, inputs[0], axes)
    x = graph.full(inputs[0])
    shape = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    return graph.node(
        "ReduceSum", [x, np.array(axes, np.int64)], shape, wanted, keepdims=0
    )


# Operations that only broadcast or relabel; they are not folded, even for constants.
LAZY = frozenset(
    {"broadcast_in_dim", "copy", "name", "optimization_barrier", "stop_gradient"}
)
OPERATIONS: dict[str, Operation] = {
    "abs": _chain("Abs"),
    "add": _elementwise("Add"),
    "and": _elementwise("And"),
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "conv_general_dilated": onnx_products.convolution,
    "convert_element_type": _convert_type,
    "copy": _identity,
    "div": _elementwise("Div"),
    "dot_general": onnx_products.dot,
    "eq": _elementwise("Equal", bool),
    "exp": _chain("Exp"),
    "expm1": _expm1,
    "gather": _gather,
    "ge": _elementwise("GreaterOrEqual", bool),
    "gt": _elementwise("Greater", bool),
    "integer_pow": _integer_pow,
    "le": _elementwise("LessOrEqual", bool),
    "log": _chain("Log"),
    "log1p": _log1p,
    "logistic": _chain("Sigmoid"),
    "lt": _elementwise("Less", bool),
    "max": _elementwise("Max"),
    "min": _elementwise("Min"),
    "mul": _elementwise("Mul"),
    "name": _identity,
    "ne": _not_equal,
    "neg": _chain("Neg"),
    "not": _chain("Not"),
    "optimization_barrier": _barrier,
    "or": _elementwise("Or"),
    "pad": _pad,
    "pow": _elementwise("Pow"),
    "reduce_sum": _reduce_sum,
    "reshape": _reshape,
    "rev": _reverse,
    "rsqrt": _chain("Sqrt", "Reciprocal"),
    "select_n": _select,
    "sin": _chain("Sin"),
    "slice": _slice,
    "split": _split,
    "sqrt": _chain("Sqrt"),
    "square": _square,
    "squeeze": _reshape,
    "stack": _stack,
    "stop_gradient": _identity,
    "sub": _elementwise("Sub"),
    "tanh": _chain("Tanh"),
    "transpose": _transpose,
}
