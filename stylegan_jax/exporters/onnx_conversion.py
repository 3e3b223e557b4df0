"""Conversion of a JAX program to an ONNX model.

The equations of the traced function are visited once. Those that depend only on
constants are evaluated immediately, so the weights of convolutions become constants;
all others become nodes, by the table in `onnx_operations`.

Reference: https://onnx.ai/onnx/operators, version OPSET of the operators.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import onnx
from jax import export
from jax.extend import core
from onnx import helper

from stylegan_jax.exporters.onnx_graph import (
    BATCH,
    Graph,
    Shape,
    Value,
    check_keeps_batch,
    shape_of,
    unsupported,
)
from stylegan_jax.exporters.onnx_operations import LAZY, OPERATIONS
from stylegan_jax.exporters.programs import Program

OPSET = 17  # released in December 2022; all current runtimes read it
IR_VERSION = 8  # version of the file format that belongs to OPSET
# Constants are folded unless the result has more than FOLDED_SIZE elements and more
# than FOLDED_GROWTH times those of the inputs.
FOLDED_GROWTH, FOLDED_SIZE = 4, 2**16
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
}


def convert(program: Program, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Convert a program to an ONNX model, and run onnx's checker on it.

    Args:
      program: the program.
      metadata: strings to store in the file.

    Raises:
      OnnxError: an operation of the program has no counterpart.
    """
    (batch,) = export.symbolic_shape(BATCH)
    arguments = program.arguments(batch)
    traced = jax.make_jaxpr(program.function)(*arguments)
    graph = Graph()
    inputs = []
    for name, argument in zip(program.inputs, arguments, strict=True):
        shape = shape_of(argument.shape)
        inputs.append(Value(shape, shape, np.dtype(argument.dtype), name=name))
        if shape[:1] == (None,):
            graph.batch_of = inputs[-1]
    (output,) = _run(graph, traced.jaxpr, traced.consts, inputs)
    output = graph.full(output, batch=True)
    output = graph.full(output)
    graph.nodes.append(
        helper.make_node("Identity", [graph.name(output)], [program.output])
    )
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            f"stylegan_jax {program.part}",
            [_declared(x.name, x) for x in inputs],
            [_declared(program.output, output)],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="stylegan_jax",
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model


def _declared(name: str, value: Value) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    dims = [BATCH if n is None else n for n in value.wanted]
    return helper.make_tensor_value_info(name, kind, dims)


def _run(
    graph: Graph, jaxpr: core.Jaxpr, consts: Sequence[Any], inputs: Sequence[Value]
) -> list[Value]:
    """Add the equations of a jaxpr to the graph; return its outputs."""
    values: dict[core.Var, Value] = {}

    def read(atom: core.Var | core.Literal) -> Value:
        if isinstance(atom, core.Literal):
            return _constant(atom.val, np.dtype(atom.aval.dtype))
        return values[atom]

    values.update(zip(jaxpr.constvars, map(_constant, consts), strict=True))
    values.update(zip(jaxpr.invars, inputs, strict=True))
    for eqn in jaxpr.eqns:
        outputs = _apply(graph, eqn, [read(atom) for atom in eqn.invars])
        values.update(zip(eqn.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(graph: Graph, eqn: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
    name = eqn.primitive.name
    if name in _CALLS:
        inner = eqn.params[_CALLS[name]]
        if isinstance(inner, core.ClosedJaxpr):
            return _run(graph, inner.jaxpr, inner.consts, inputs)
        return _run(graph, inner, (), inputs)
    if name == "platform_index":
        # The default branch is the plain form, which consists of convolutions.
        platforms = eqn.params["platforms"]
        return [_constant(np.int32(platforms.index(None)))]
    if name == "cond" and inputs[0].is_constant:
        branches = eqn.params["branches"]
        index = np.clip(int(inputs[0].constant), 0, len(branches) - 1)
        branch = branches[index]
        return _run(graph, branch.jaxpr, branch.consts, inputs[1:])
    if name == "dim_as_value":
        raise unsupported(eqn, "computes with the number of images")
    wanted = [shape_of(v.aval.shape, eqn) for v in eqn.outvars]
    if name not in LAZY and all(x.is_constant for x in inputs):
        folded = _folded(graph, eqn, inputs, wanted)
        if folded is not None:
            return folded
    if name not in OPERATIONS:
        raise unsupported(eqn, "has no counterpart in ONNX that this program knows")
    found = OPERATIONS[name](graph, eqn, inputs, wanted[0])
    return found if isinstance(found, list) else [found]


def _folded(
    graph: Graph, eqn: core.JaxprEqn, inputs: list[Value], wanted: list[Shape]
) -> list[Value] | None:
    """Return the outputs of an equation of constants; None if they are too large."""
    sizes = [x.constant.size for x in inputs]
    arrays = [graph.full(x).constant for x in inputs]
    size = sum(math.prod(n or 1 for n in shape) for shape in wanted)
    if size > max(FOLDED_GROWTH * sum(sizes), FOLDED_SIZE):
        return None
    # A constant is the same for all images of a batch, so a batch of one is enough.
    params = {key: _of_one_image(x) for key, x in eqn.params.items()}
    if eqn.primitive.name.startswith("reduce") and wanted[0][:1] != (None,):
        check_keeps_batch(eqn, inputs[0], eqn.params["axes"])
    outputs = eqn.primitive.bind(*arrays, **params)
    outputs = outputs if eqn.primitive.multiple_results else [outputs]
    return [
        Value(tuple(x.shape), shape, x.dtype, constant=x)
        for x, shape in zip(map(np.asarray, outputs), wanted, strict=True)
    ]


def _of_one_image(parameter: Any) -> Any:
    """Replace the batch size by 1 in a parameter of an equation."""
    if isinstance(parameter, tuple) and not hasattr(parameter, "_fields"):
        return tuple(map(_of_one_image, parameter))
    return 1 if export.is_symbolic_dim(parameter) else parameter


def _constant(array: Any, dtype: np.dtype | None = None) -> Value:
    array = np.asarray(array, dtype)
    return Value(array.shape, array.shape, array.dtype, constant=array)
