"""The golden files of StyleGAN2's primitives: many calls of one function each."""

import json
from collections.abc import Callable

import jax
import numpy as np

from tests import goldens, tiny


class Calls:
    """All recorded calls of an official function."""

    def __init__(self, name: str):
        self.arrays = goldens.arrays(f"stylegan2_and_3/{name}.npz")
        path = goldens.path(f"stylegan2_and_3/{name}.json")
        self.cases = json.loads(path.read_text())["cases"]

    def inputs(self, name: str) -> np.ndarray:
        """E.g. "x"; images are turned to NHWC."""
        x = self.arrays[f"in/{name}"]
        return goldens.nhwc(x) if x.ndim == 4 else x

    def kernel(self, name: str) -> np.ndarray:
        """A kernel, HWIO."""
        return hwio(self.arrays[f"in/w_{name}"])

    def taps(self, name: str) -> np.ndarray:
        """A filter; "none" is the identity."""
        return np.ones(1) if name == "none" else self.arrays[f"in/f_{name}"]

    def check(
        self,
        functions: dict[str, tuple[Callable, dict[str, np.ndarray]]],
        tolerance: float,
    ) -> None:
        """Compares results and vector-Jacobian products, all in one program.

        Args:
          functions: by case, a function and its arguments; names as in "vjp/000/x".
          tolerance: of the rms.
        """

        def run(arguments, cotangents):
            results = {}
            for case, (f, _) in functions.items():
                y, pull_back = jax.vjp(lambda kw, f=f: f(**kw), arguments[case])
                grads = pull_back(cotangents[case])[0] if case in cotangents else {}
                results[case] = y, grads
            return results

        arguments = {case: inputs for case, (_, inputs) in functions.items()}
        cotangents = {
            case: self.inputs(f"cot_{case}")
            for case in functions
            if f"in/cot_{case}" in self.arrays
        }
        compared = 0
        with tiny.quick_compilation():
            results = jax.jit(run)(arguments, cotangents)
        for case, (y, grads) in results.items():
            out = self.arrays[f"out/{case}"]
            wanted = goldens.nhwc(out) if out.ndim == 4 else out
            goldens.assert_close(y, wanted, tolerance, case)
            for name, gradient in grads.items():
                wanted = self.arrays[f"vjp/{case}/{name}"]
                if wanted.ndim == 4:
                    wanted = hwio(wanted) if name == "w" else goldens.nhwc(wanted)
                goldens.assert_close(gradient, wanted, tolerance, f"{case} by {name}")
                compared += 1
        stored = [k.split("/")[1] for k in self.arrays if k.startswith("vjp/")]
        assert compared == sum(case in functions for case in stored)


def hwio(kernel: np.ndarray) -> np.ndarray:
    """Convert the official O,I,h,w to our layout."""
    return kernel.transpose(2, 3, 1, 0)


def height_width(value):
    """Convert the official int or [x,y] to our pair."""
    return value if isinstance(value, int) else tuple(value[::-1])


def padding(value) -> tuple:
    """Convert official p, [x,y] or [x0,x1,y0,y1] to ((top, bottom), (left, right))."""
    if isinstance(value, int):
        return ((value, value),) * 2
    if len(value) == 2:
        x, y = value
        return (y, y), (x, x)
    left, right, top, bottom = value
    return (top, bottom), (left, right)
