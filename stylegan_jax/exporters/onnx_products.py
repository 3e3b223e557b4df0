"""JAX's matrix products and convolutions as ONNX nodes.

The weights of convolutions must be constants, because ONNX Runtime's fast kernels on
the web require it.
"""

import string

import numpy as np
from jax.extend import core

from stylegan_jax.exporters.onnx_graph import (
    Graph,
    Shape,
    Value,
    check_keeps_batch,
    unsupported,
)


def dot(graph: Graph, eqn: core.JaxprEqn, inputs: list[Value], wanted: Shape) -> Value:
    """Convert `dot_general`, a product of two arrays over some axes."""
    (left, right), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    a, b = (graph.full(x) for x in inputs)
    check_keeps_batch(eqn, a, left)
    check_keeps_batch(eqn, b, right)
    last = len(a.shape) - 1
    axes = left, right, left_batch, right_batch
    shared = axes == ((last,), (0,), (), ()) and len(b.shape) == 2
    per_image = axes == ((2,), (1,), (0,), (0,)) and len(a.shape) == len(b.shape) == 3
    if shared or per_image:
        shape = (*a.shape[:-1], b.shape[-1])
        return graph.node("MatMul", [a, b], shape, wanted)
    letters = iter(string.ascii_lowercase)
    of_a = [next(letters) for _ in a.shape]
    of_b = [next(letters) for _ in b.shape]
    for i, j in (
        *zip(left, right, strict=True),
        *zip(left_batch, right_batch, strict=True),
    ):
        of_b[j] = of_a[i]
    out = [of_a[i] for i in left_batch]
    out += [x for i, x in enumerate(of_a) if i not in (*left, *left_batch)]
    out += [x for j, x in enumerate(of_b) if j not in (*right, *right_batch)]
    sizes = dict(zip(of_a + of_b, a.shape + b.shape, strict=True))
    equation = f"{''.join(of_a)},{''.join(of_b)}->{''.join(out)}"
    shape = tuple(sizes[x] for x in out)
    return graph.node("Einsum", [a, b], shape, wanted, equation=equation)


def convolution(
    graph: Graph, eqn: core.JaxprEqn, inputs: list[Value], wanted: Shape
) -> Value:
    """Convert a convolution of any layout to ONNX's, which is NCHW."""
    p = eqn.params
    x, kernel = graph.full(inputs[0]), graph.full(inputs[1])
    if not kernel.is_constant:
        raise unsupported(eqn, "has weights that are not constant")
    to_nchw, to_oihw, from_nchw = (
        p["dimension_numbers"].lhs_spec,
        p["dimension_numbers"].rhs_spec,
        p["dimension_numbers"].out_spec,
    )
    if p["batch_group_count"] != 1 or x.wanted[to_nchw[0]] is not None:
        raise unsupported(eqn, "combines the images of a batch")
    weight = kernel.constant.transpose(to_oihw)
    before, after = zip(*p["padding"], strict=True)
    attributes = {"kernel_shape": list(weight.shape[2:])}
    if all(n == 1 for n in p["lhs_dilation"]):
        op = "Conv"
        attributes |= {
            "strides": list(p["window_strides"]),
            "dilations": list(p["rhs_dilation"]),
            "group": p["feature_group_count"],
        }
    else:
        # Zeros between pixels are a transposed convolution with the reversed kernel.
        if p["feature_group_count"] != 1 or any(
            n != 1 for n in (*p["window_strides"], *p["rhs_dilation"])
        ):
            raise unsupported(eqn, "has zeros between pixels and groups or strides")
        op = "ConvTranspose"
        weight = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
        attributes["strides"] = list(p["lhs_dilation"])
        reach = [n - 1 for n in weight.shape[2:]]
        before, after = (
            [r - n for r, n in zip(reach, side, strict=True)]
            for side in (before, after)
        )
    if min(*before, *after) < 0:
        raise unsupported(eqn, "has a negative padding")
    weight = np.ascontiguousarray(weight)
    places = np.argsort(from_nchw)
    result = tuple(wanted[i] for i in from_nchw)
    y = graph.node(
        op,
        [graph.transpose(x, to_nchw), weight],
        (x.shape[to_nchw[0]], *result[1:]),
        result,
        pads=[*before, *after],
        **attributes,
    )
    return graph.transpose(y, tuple(int(i) for i in places))
