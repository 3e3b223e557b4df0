"""The memory of the compiled updates, against what has to be there.

The bound is 1.6 times the arguments (state, batch) and the activations, which are what
the backward pass takes from the forward pass when nothing is rematerialised. What lies
above them is for gradients, and for the work space of single operations.
"""

import dataclasses

import jax
import pytest

from stylegan_jax import config
from stylegan_jax.runtime import parallel
from stylegan_jax.training import memory, setup, step
from stylegan_jax.training.compilation import ProgramCache


def size(tree) -> int:
    """Bytes of arrays, or of their shapes and dtypes."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def activations(objective, params, inputs) -> int:
    """Bytes that the backward pass of an objective takes from the forward pass.

    Each array once; parameters, and what else is there anyway, do not count.
    """

    def kept(params):
        pull_back = jax.vjp(lambda p: objective(p, inputs)[0], params)[1]
        return jax.tree.leaves(pull_back)

    jaxpr = jax.make_jaxpr(kept)(params).jaxpr
    there = {id(v) for v in (*jaxpr.invars, *jaxpr.constvars)}
    kept_once = {id(v): v.aval for v in jaxpr.outvars}
    return sum(
        aval.size * aval.dtype.itemsize
        for key, aval in kept_once.items()
        if key not in there
    )


class Updates:
    """Of an experiment's only, or last, stage."""

    def __init__(self, e: config.Experiment):
        self.e, self.devices = e, parallel.data_parallel()
        self.setup = setup.build(e, self.devices)
        self.names, self.state = self.setup.phase_names, self.setup.abstract_state
        self.stage = self.setup.stages[-1]
        self._cache = ProgramCache(self.setup)

    def peak(self, name: str) -> memory.Need:
        """Of an update, arguments and results included."""
        lowered = self._cache.lower(self.stage, self.names.index(name))
        return memory.need(lowered.compile())

    def peak_without_donation(self, name: str) -> memory.Need:
        """Of the same update when the state that it is given stays."""
        index = self.names.index(name)
        update = step.build_update(self.setup, index, self.stage)
        lowered = jax.jit(update).lower(*self._cache.arguments(self.stage))
        return memory.need(lowered.compile())

    def needed(self, name: str) -> tuple[int, int]:
        """Bytes of its arguments and of its activations."""
        index, counted = self.names.index(name), []
        phases = list(self.setup.phases)
        objective = phases[index].objective

        def spy(params, inputs):
            counted.append(activations(objective, params, inputs))
            return objective(params, inputs)

        phases[index] = dataclasses.replace(phases[index], objective=spy)
        spying = dataclasses.replace(self.setup, phases=tuple(phases))
        update = step.build_update(spying, index, self.stage)
        arguments = self._cache.arguments(self.stage)
        jax.eval_shape(update, *arguments)
        return size(arguments), counted[0]


BOUND = 1.6


def experiment(
    family: str, resolution: int, channels: int, batch: int, width: int, **model
) -> config.Experiment:
    """Of one stage; `width` is that of the mapping network."""
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


@pytest.mark.parametrize(
    "family", ["stylegan2", pytest.param("stylegan1", marks=pytest.mark.slow)]
)
def test_a_state_is_updated_where_it_lies(family):
    """Hardly any activations: an update that is not donated its state exceeds it."""
    updates = Updates(experiment(family, 8, channels=8, batch=2, width=256))
    there, kept = updates.needed("d_main")
    assert kept < 0.1 * there
    assert there < updates.peak("d_main").total < BOUND * (there + kept)
    assert updates.peak_without_donation("d_main").total > BOUND * (there + kept)


@pytest.mark.parametrize(
    ("family", "phase"),
    [
        ("stylegan1", "d_main"),
        pytest.param("stylegan1", "g_main", marks=pytest.mark.slow),
        pytest.param("stylegan1", "d_r1", marks=pytest.mark.slow),
        pytest.param("stylegan2", "g_path", marks=pytest.mark.slow),
        pytest.param("stylegan2", "d_r1", marks=pytest.mark.slow),
        pytest.param("stylegan2", "g_main", marks=pytest.mark.slow),
        pytest.param("stylegan2", "d_main", marks=pytest.mark.slow),
    ],
)
def test_activations_are_held_once(family, phase):
    """As many as there is state, or more: a second copy of both exceeds the bound."""
    updates = Updates(experiment(family, 16, channels=128, batch=8, width=16))
    there, kept = updates.needed(phase)
    assert kept > 0.9 * there
    assert updates.peak(phase).total < BOUND * (there + kept)


@pytest.mark.parametrize(
    ("family", "phase"),
    [("stylegan1", "g_main"), ("stylegan2", "g_main"), ("stylegan2", "d_r1")],
)
def test_rematerialisation_keeps_less(family, phase):
    """What the backward pass takes from the forward pass, on any platform."""
    kept = []
    for policy in ("none", "convolutions", "blocks"):
        small = {"channels": 16, "batch": 4, "width": 8, "remat": policy}
        updates = Updates(experiment(family, 16, **small))
        kept.append(updates.needed(phase)[1])
    everything, convolutions, blocks = kept
    assert blocks < 0.5 * everything
    assert blocks < convolutions < 0.8 * everything
