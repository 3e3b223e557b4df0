"""The memory of the compiled updates, compared with the least that they need.

The bound is 1.6 times the sum of the arguments (state, batch) and of the activations,
which the forward pass stores for the backward pass without rematerialization. The rest
is for gradients and for the workspace of single operations.
"""

import dataclasses

import jax
import pytest

from stylegan_jax import config
from stylegan_jax.runtime import parallel
from stylegan_jax.training import memory, setup, step
from stylegan_jax.training.compilation import ProgramCache


def num_bytes(tree) -> int:
    """Return the bytes of a tree of arrays or of `jax.ShapeDtypeStruct`."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def activation_bytes(objective, params, inputs) -> int:
    """Return the bytes that the forward pass stores for the backward pass.

    Each array counts once; parameters and other inputs do not count.
    """

    def residuals(params):
        pull_back = jax.vjp(lambda p: objective(p, inputs)[0], params)[1]
        return jax.tree.leaves(pull_back)

    jaxpr = jax.make_jaxpr(residuals)(params).jaxpr
    known = {id(v) for v in (*jaxpr.invars, *jaxpr.constvars)}
    stored = {id(v): v.aval for v in jaxpr.outvars}
    return sum(
        aval.size * aval.dtype.itemsize
        for key, aval in stored.items()
        if key not in known
    )


class Updates:
    """The updates of the last stage of an experiment."""

    def __init__(self, e: config.Experiment):
        self.e, self.devices = e, parallel.data_parallel()
        self.setup = setup.build(e, self.devices)
        self.names, self.state = self.setup.phase_names, self.setup.abstract_state
        self.stage = self.setup.stages[-1]
        self._cache = ProgramCache(self.setup)

    def peak(self, name: str) -> memory.Need:
        """Return the memory of an update, including arguments and results."""
        lowered = self._cache.lower(self.stage, self.names.index(name))
        return memory.need(lowered.compile())

    def peak_without_donation(self, name: str) -> memory.Need:
        """Return the memory of an update whose state is not donated."""
        index = self.names.index(name)
        update = step.build_update(self.setup, index, self.stage)
        lowered = jax.jit(update).lower(*self._cache.arguments(self.stage))
        return memory.need(lowered.compile())

    def required_bytes(self, name: str) -> tuple[int, int]:
        """Return the bytes of the arguments and of the activations."""
        index, counted = self.names.index(name), []
        phases = list(self.setup.phases)
        objective = phases[index].objective

        def spy(params, inputs):
            counted.append(activation_bytes(objective, params, inputs))
            return objective(params, inputs)

        phases[index] = dataclasses.replace(phases[index], objective=spy)
        instrumented = dataclasses.replace(self.setup, phases=tuple(phases))
        update = step.build_update(instrumented, index, self.stage)
        arguments = self._cache.arguments(self.stage)
        jax.eval_shape(update, *arguments)
        return num_bytes(arguments), counted[0]


pytestmark = pytest.mark.aot
BOUND = 1.7


def experiment(
    family: str, resolution: int, channels: int, batch: int, width: int, **model
) -> config.Experiment:
    """Return an experiment with one stage; `width` is that of the mapping network."""
    wide = {name: width for name in ("z_dim", "w_dim", "mapping_features")}
    training = {"batch_size": batch, "total_kimg": 1.0, "d_reg_interval": 16}
    training |= {"initial_resolution": resolution, "stage_kimg": 1.0}
    if family == "stylegan2":
        model |= {"g_architecture": "skip", "d_architecture": "resnet"}
        training |= {"path_length_weight": 2.0, "g_reg_interval": 4}
    return config.parse(
        {
            "data": {"resolution": resolution},
            "model": {"family": family, "channel_max": channels, "mapping_layers": 4}
            | wide
            | model,
            "training": training,
        }
    )


@pytest.mark.parametrize("family", ["stylegan2", "stylegan1"])
def test_state_is_updated_in_place(family):
    """An update with few activations exceeds the bound without donation."""
    updates = Updates(experiment(family, 8, channels=8, batch=2, width=256))
    arguments, activations = updates.required_bytes("d_main")
    bound = BOUND * (arguments + activations)
    assert activations < 0.1 * arguments
    assert arguments < updates.peak("d_main").total < bound
    assert updates.peak_without_donation("d_main").total > bound


@pytest.mark.parametrize(
    ("family", "phase"),
    [
        ("stylegan1", "d_main"),
        ("stylegan1", "g_main"),
        ("stylegan1", "d_r1"),
        ("stylegan2", "g_path"),
        ("stylegan2", "d_r1"),
        ("stylegan2", "g_main"),
        ("stylegan2", "d_main"),
    ],
)
def test_activations_are_stored_once(family, phase):
    """A second copy of large activations exceeds the bound."""
    updates = Updates(experiment(family, 16, channels=128, batch=8, width=16))
    arguments, activations = updates.required_bytes(phase)
    assert activations > 0.8 * arguments
    assert updates.peak(phase).total < BOUND * (arguments + activations)


@pytest.mark.parametrize(
    ("family", "phase"),
    [
        ("stylegan1", "g_main"),
        ("stylegan2", "g_main"),
        ("stylegan2", "g_path"),
        ("stylegan2", "d_r1"),
    ],
)
def test_rematerialization_stores_less(family, phase):
    """Compare the bytes stored for the backward pass, which no platform changes."""
    stored = []
    for policy in ("none", "convolutions", "blocks"):
        small = {"channels": 16, "batch": 4, "width": 8, "remat": policy}
        updates = Updates(experiment(family, 16, **small))
        stored.append(updates.required_bytes(phase)[1])
    everything, convolutions, blocks = stored
    print(f"{convolutions / everything:.2f} {blocks / everything:.2f}")
    assert blocks < 0.35 * everything
    assert blocks < convolutions < 0.6 * everything
