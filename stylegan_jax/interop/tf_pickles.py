"""Networks out of the TensorFlow-era files: StyleGAN, StyleGAN2, StyleGAN2-ADA.

They are pickles of (G, D, Gs), each a `dnnlib.tflib.network.Network`.
"""

import dataclasses
from typing import Any

import numpy as np

from stylegan_jax.weights import pickle_stubs
from stylegan_jax.weights.pickle import PickleError, kind, require, short, shown
from stylegan_jax.weights.pickle_stubs import Array, text, typed

MAX_COMPONENTS = 8  # of one network; official: 2
VERSIONS = range(2, 6)  # 2 ProGAN, 3 StyleGAN, 4 and 5 StyleGAN2
ROLES = ("generator", "discriminator", "generator_ema")  # the order in the file

# The discriminators of StyleGAN2. They and StyleGAN2-ADA's `D_main` disagree in what a
# file, which lists only what was passed, leaves open.
_BEFORE_ADA = ("D_stylegan", "D_stylegan2")
_NETWORK_NAMES = (
    ("dnnlib.tflib.network", "Network"),
    ("dnnlib.tflib", "Network"),
    ("tfutil", "Network"),
)


@dataclasses.dataclass(frozen=True)
class Network:
    """What one pickled `dnnlib.tflib.network.Network` holds.

    Attributes:
        name: its name, e.g. `G`, `G_synthesis`, `D`, `Gs`.
        static_kwargs: the arguments of its build function, plain Python values.
        func_name: the build function, e.g. `G_style`.
        module_source: the text of the build function's module; never compiled.
        version: of the pickle's layout, see `VERSIONS`.
        variables: its own variables in the file's order, in the file's precision.
        components: the networks it is made of, e.g. `mapping` and `synthesis`.
    """

    name: str
    static_kwargs: dict[str, Any]
    func_name: str
    module_source: str
    version: int
    variables: dict[str, np.ndarray]
    components: dict[str, "Network"]

    @property
    def source(self) -> str:
        """Which code it is of, as `interop.SOURCES` names it."""
        if self.version < 4 or self.func_name in ("G_style", "D_basic"):
            return "stylegan1"
        return "stylegan2-tf"

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments to build it with, in the meaning they have in StyleGAN2-ADA."""
        if self.func_name not in _BEFORE_ADA:
            return self.static_kwargs
        defaults = {"mbstd_group_size": 4, "mbstd_num_features": 1}
        kwargs = defaults | self.static_kwargs
        group_size = kwargs["mbstd_group_size"]
        if type(group_size) in (int, float) and group_size <= 1:
            # It left the statistics out; ADA would append them, a constant.
            kwargs |= {"mbstd_group_size": None, "mbstd_num_features": 0}
        return kwargs

    def all_variables(self) -> dict[str, np.ndarray]:
        """Own and components' variables by full official name, in float32.

        Those of component `mapping` are named `G_mapping/...`, as TensorFlow does.

        Returns:
            Name -> float32 array, own variables first.

        Raises:
            PickleError: if a name occurs twice.
        """
        everything = dict(self.variables)
        for key, component in self.components.items():
            for name, value in component.all_variables().items():
                full_name = f"G_{key}/{name}"
                if full_name in everything:
                    raise PickleError(
                        f"network {short(self.name)} has two variables named "
                        f"{short(full_name)}"
                    )
                everything[full_name] = value
        return {name: value.astype(np.float32) for name, value in everything.items()}


class _Unassembled:
    """Stands for a network; keeps its state."""

    __slots__ = ("state",)

    def __setstate__(self, state: Any) -> None:
        require(type(state) is dict, f"network state is a {kind(state)}, not a dict")
        self.state = state


def names() -> dict[tuple[str, str], Any]:
    """The stand-ins by the names that files give."""
    return dict.fromkeys(_NETWORK_NAMES, _Unassembled)


def networks(content: Any) -> dict[str, Network]:
    """The networks of a file by their ROLES; a single one as "network"."""
    return _Conversion().networks(content)


class _Conversion(pickle_stubs.Conversion):
    """Checks what was read and makes networks of it."""

    def networks(self, content: Any) -> dict[str, Network]:
        """See the function of that name."""
        if type(content) is _Unassembled:
            return {"network": self._network(content, "network")}
        is_triple = type(content) in (tuple, list) and len(content) == len(ROLES)
        require(
            is_triple and all(type(part) is _Unassembled for part in content),
            f"holds a {kind(content)}; expected the three networks "
            "(G, D, Gs) or a single network",
        )
        return {
            role: self._network(part, role)
            for role, part in zip(ROLES, content, strict=True)
        }

    def _network(self, part: Any, where: str, nested: bool = False) -> Network:
        require(type(part) is _Unassembled, f"{where} is a {kind(part)}")
        state = getattr(part, "state", None)
        require(state is not None, f"{where} is a network without content")
        version = state.get("version")
        require(
            type(version) is int and version in VERSIONS,
            f"{where}: version is {shown(version)}, expected "
            f"{VERSIONS.start} to {VERSIONS.stop - 1}",
        )
        components = typed(state, "components", where, dict, {})
        # The official networks nest once; deeper, a small file could unfold to any
        # size, or without end.
        require(not (nested and components), f"{where} is a component with components")
        require(
            len(components) <= MAX_COMPONENTS,
            f"{where} has more than {MAX_COMPONENTS} components",
        )
        variables = self._variables(state, where)
        static_kwargs = typed(state, "static_kwargs", where, dict, {})
        func_key = "build_func_name" if "build_func_name" in state else "func_name"
        return Network(
            name=typed(state, "name", where, str),
            static_kwargs=self.settings(static_kwargs, f"{where}.static_kwargs"),
            func_name=typed(state, func_key, where, str, ""),
            module_source=typed(state, "build_module_src", where, str, ""),
            version=version,
            variables=variables,
            components={
                text(key, f"{where}: component name"): self._network(
                    component, f"{where}.{key[:40]}", nested=True
                )
                for key, component in components.items()
            },
        )

    def _variables(self, state: dict, where: str) -> dict[str, np.ndarray]:
        variables: dict[str, np.ndarray] = {}
        for pair in typed(state, "variables", where, list):
            require(
                type(pair) in (tuple, list) and len(pair) == 2,
                f"{where}: variables are not (name, value) pairs",
            )
            name = text(pair[0], f"{where}: variable name")
            require(name not in variables, f"{where}: two variables {short(name)}")
            require(
                type(pair[1]) is Array,
                f"{where}: variable {short(name)} is a {kind(pair[1])}, not an array",
            )
            variables[name] = self.array(pair[1])
        return variables
