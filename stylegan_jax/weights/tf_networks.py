"""Networks in TensorFlow-era pickles of StyleGAN, StyleGAN2 and StyleGAN2-ADA.

A file is a pickle of (G, D, Gs), each a `dnnlib.tflib.network.Network`.
"""

import dataclasses
from typing import Any

import numpy as np

from stylegan_jax.weights.pickle import (
    PickleError,
    describe,
    quote,
    require,
    type_name,
)
from stylegan_jax.weights.pickle_stubs import Array, Budget, text, typed

MAX_COMPONENTS = 8  # in a network; official: 2
VERSIONS = range(2, 6)  # 2 ProGAN, 3 StyleGAN, 4 and 5 StyleGAN2
ROLES = ("generator", "discriminator", "generator_ema")  # in the file's order

_NETWORK_NAMES = (
    ("dnnlib.tflib.network", "Network"),
    ("dnnlib.tflib", "Network"),
    ("tfutil", "Network"),
)


@dataclasses.dataclass(frozen=True)
class TFNetwork:
    """The content of a pickled `dnnlib.tflib.network.Network`.

    Attributes:
      name: Name of the network, e.g. `G`, `G_synthesis`, `D`, `Gs`.
      static_kwargs: Arguments of its build function, plain Python values.
      func_name: Build function, e.g. `G_style`.
      module_source: Text of the build function's module; never compiled.
      version: Version of the pickle's layout, see `VERSIONS`.
      variables: Its own variables, in the file's order and precision.
      components: Networks that it consists of, e.g. `mapping` and `synthesis`.
    """

    name: str
    static_kwargs: dict[str, Any]
    func_name: str
    module_source: str
    version: int
    variables: dict[str, np.ndarray]
    components: dict[str, "TFNetwork"]

    def all_variables(self) -> dict[str, np.ndarray]:
        """Return its own and its components' variables by full name, in float32.

        The names of component `mapping` begin with `G_mapping/`, as in TensorFlow.

        Returns:
          Name -> float32 array, own variables first.

        Raises:
          PickleError: A name occurs twice.
        """
        everything = dict(self.variables)
        for key, component in self.components.items():
            for name, value in component.all_variables().items():
                full_name = f"G_{key}/{name}"
                if full_name in everything:
                    raise PickleError(
                        f"the network {quote(self.name)} has two variables named "
                        f"{quote(full_name)}"
                    )
                everything[full_name] = value
        return {name: value.astype(np.float32) for name, value in everything.items()}


class _Network:
    """A stub for a network that keeps its state."""

    __slots__ = ("state",)

    def __setstate__(self, state: Any) -> None:
        require(
            type(state) is dict,
            f"the state of a network has type {type_name(state)}, expected dict",
        )
        self.state = state


def names() -> dict[tuple[str, str], Any]:
    """Return the stubs by the names that files use."""
    return dict.fromkeys(_NETWORK_NAMES, _Network)


def networks(content: Any) -> dict[str, TFNetwork]:
    """Return the networks of a file by their ROLES; a single one as "network"."""
    budget = Budget()
    if type(content) is _Network:
        return {"network": _network(content, "the network", budget)}
    is_triple = type(content) in (tuple, list) and len(content) == len(ROLES)
    require(
        is_triple and all(type(part) is _Network for part in content),
        f"the file holds a value of type {type_name(content)}; expected the three "
        "networks (G, D, Gs) or a single network",
    )
    return {
        role: _network(part, role, budget)
        for role, part in zip(ROLES, content, strict=True)
    }


def _network(part: Any, where: str, budget: Budget, nested: bool = False) -> TFNetwork:
    """Return a network after a check of its state."""
    require(
        type(part) is _Network,
        f"{where} has type {type_name(part)}, expected a network",
    )
    state = getattr(part, "state", None)
    require(state is not None, f"{where} is a network without content")
    version = state.get("version")
    require(
        type(version) is int and version in VERSIONS,
        f"the version of {where} is {describe(version)}, expected "
        f"{VERSIONS.start} to {VERSIONS.stop - 1}",
    )
    components = typed(state, "components", where, dict, {})
    # The official networks nest once; with deeper nesting, a small file could expand to
    # any size, or endlessly.
    require(not (nested and components), f"{where} is a component with components")
    require(
        len(components) <= MAX_COMPONENTS,
        f"{where} has more than {MAX_COMPONENTS} components",
    )
    variables = _variables(state, where, budget)
    static_kwargs = typed(state, "static_kwargs", where, dict, {})
    func_key = "build_func_name" if "build_func_name" in state else "func_name"
    return TFNetwork(
        name=typed(state, "name", where, str),
        static_kwargs=budget.settings(static_kwargs, f"the arguments of {where}"),
        func_name=typed(state, func_key, where, str, ""),
        module_source=typed(state, "build_module_src", where, str, ""),
        version=version,
        variables=variables,
        components={
            text(key, f"the name of a component of {where}"): _network(
                component, f"component {quote(key)} of {where}", budget, nested=True
            )
            for key, component in components.items()
        },
    )


def _variables(state: dict, where: str, budget: Budget) -> dict[str, np.ndarray]:
    """Return the variables in a network's state."""
    variables: dict[str, np.ndarray] = {}
    for pair in typed(state, "variables", where, list):
        require(
            type(pair) in (tuple, list) and len(pair) == 2,
            f"the variables of {where} are not pairs of name and value",
        )
        name = text(pair[0], f"the name of a variable of {where}")
        require(name not in variables, f"{where} has two variables {quote(name)}")
        require(
            type(pair[1]) is Array,
            f"variable {quote(name)} of {where} has type {type_name(pair[1])}, "
            "expected an array",
        )
        variables[name] = budget.array(pair[1])
    return variables
