"""The memory of the compiled updates, against what has to be there."""

import dataclasses

import jax

from stylegan_jax import config, models, parallel
from stylegan_jax.training import growth, memory, recipes, step
from stylegan_jax.training import state as train_state
from stylegan_jax.training.programs import ProgramCache


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
        networks = models.build(e.model, e.data, 0)
        self.phases = recipes.build(e, *networks)
        self.names = [p.name for p in self.phases]
        optimizers = step.build_optimizers(e)
        state = jax.eval_shape(
            lambda: train_state.create(*networks, optimizers, self.names, 0)
        )
        self.state = train_state.placed(state, self.devices, shard_optimizer=False)
        self.stage = growth.stages(e)[-1]
        self._cache = ProgramCache(
            e, self.phases, self.devices, self.state, 0, lambda *_: None
        )

    def peak(self, name: str) -> float:
        """Bytes of an update, arguments and results included."""
        lowered = self._cache.lower(self.stage, self.names.index(name))
        return memory.need(lowered.compile()).total

    def needed(self, name: str) -> tuple[int, int]:
        """Bytes of its arguments and of its activations."""
        index, counted = self.names.index(name), []
        objective = self.phases[index].objective

        def spy(params, inputs):
            counted.append(activations(objective, params, inputs))
            return objective(params, inputs)

        phases = list(self.phases)
        phases[index] = dataclasses.replace(phases[index], objective=spy)
        update = step.build_update(self.e, phases, index, self.stage, self.devices)
        arguments = self._cache.arguments(self.stage)
        jax.eval_shape(update, *arguments)
        return size(arguments), counted[0]
