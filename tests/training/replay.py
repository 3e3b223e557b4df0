"""Replay of official random numbers in the unchanged training step.

All numbers that a round of a phase draws are packed into the labels, one row per image,
and pass through `step.build_update` and its accumulation. Where `phases.GANObjectives`
calls the networks and `losses`, a `Tape` unpacks and substitutes them, and records the
arguments and results.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import config, interop, models
from stylegan_jax.augment import transforms
from stylegan_jax.training import blur, losses, phases, state
from tests import goldens

SOURCE = "stylegan2-ada-pytorch"
PHASES = {"Gmain": "g_main", "Greg": "g_path", "Dmain": "d_main", "Dreg": "d_r1"}


class Recording:
    """A golden file with an official loss or training."""

    source = SOURCE  # of its networks

    def __init__(self, name: str):
        self.arrays = goldens.arrays(f"stylegan2_and_3/{name}.npz")
        path = goldens.path(f"stylegan2_and_3/{name}.json")
        self.settings = json.loads(path.read_text())
        self.batch = self.settings["batch"]
        self.label_size = self.settings["G_kwargs"]["c_dim"]
        self.num_ws = 2 * self.settings["G_kwargs"]["img_resolution"].bit_length() - 4

    def experiment(self, **training: Any) -> config.Experiment:
        """Return the equivalent experiment."""
        g, d = self.settings["G_kwargs"], self.settings["D_kwargs"]
        synthesis, loss = g["synthesis_kwargs"], self.settings["loss_kwargs"]
        return config.parse(
            {
                "data": {"resolution": g["img_resolution"]},
                "model": {
                    "family": "stylegan2",
                    "z_dim": g["z_dim"],
                    "w_dim": g["w_dim"],
                    "mapping_layers": g["mapping_kwargs"]["num_layers"],
                    "mapping_features": g["w_dim"],
                    "channel_base": synthesis["channel_base"],
                    "channel_max": synthesis["channel_max"],
                    "g_architecture": synthesis["architecture"],
                    "d_architecture": d["architecture"],
                    "conv_clamp": synthesis["conv_clamp"],
                    "d_mapping_layers": d["mapping_kwargs"]["num_layers"],
                    "mbstd_group_size": d["epilogue_kwargs"]["mbstd_group_size"],
                },
                "training": {
                    "total_kimg": 1.0,
                    "batch_size": self.batch,
                    "r1_gamma": loss["r1_gamma"],
                    "path_length_weight": float(loss["pl_weight"]),
                    "path_length_decay": loss["pl_decay"],
                    "path_length_batch_shrink": loss["pl_batch_shrink"],
                    "style_mixing_probability": loss["style_mixing_prob"],
                    "augment": "bgc" if self.settings.get("aug") else "none",
                    "augment_probability": float(bool(self.settings.get("aug"))),
                }
                | training,
            }
        )

    def networks(
        self, e: config.Experiment, pixel_blocks: bool = False
    ) -> tuple[tuple, tuple]:
        """Return generator and discriminator, each with the official variables.

        They compute as in training, on a CPU with Winograd's form, or, if asked to, as
        on a TPU.
        """
        forms = {"winograd": not pixel_blocks, "pixel_blocks": pixel_blocks}
        g, d = models.build(e.model, e.data, self.label_size, **forms)
        loaded = []
        for model, letter, name in ((g, "G", "generator"), (d, "D", "discriminator")):
            kwargs = self.settings[f"{letter}_kwargs"]
            arrays = goldens.below(self.arrays, f"param{letter}/")
            _, variables = interop.from_official(arrays, self.source, name, **kwargs)
            # Raises if the experiment describes another network.
            interop.to_official(model, variables, self.source, name, **kwargs)
            loaded.append((model, variables))
        return tuple(loaded)

    def state(self, networks: tuple, optimizers: dict, names: list) -> state.TrainState:
        """Return the state before the first update."""
        (_, g), (_, d) = networks
        params = {state.GENERATOR: g["params"], state.DISCRIMINATOR: d["params"]}
        zero = jnp.zeros((), jnp.int32)
        return state.TrainState(
            step=zero,
            images_seen=zero,
            params=params,
            optimizer={name: optimizers[name].init(params[name]) for name in params},
            w_avg=jnp.asarray(g["stats"]["w_avg"]),
            path_length_mean=jnp.float32(self.settings["pl_mean_init"]),
            augment_probability=jnp.float32(bool(self.settings.get("aug"))),
            ema=g,
            skipped=dict.fromkeys(names, zero),
            skipped_total=dict.fromkeys(names, zero),
        )

    def images(self, prefix: str = "in/") -> np.ndarray:
        """Return the real images, uint8 NHWC."""
        return goldens.nhwc(self.arrays[f"{prefix}real_img_u8"])


def whole_batch(
    state: state.TrainState, reals: jax.Array, labels: jax.Array, resolution: int
) -> phases.Inputs:
    """Return the inputs of an objective for a whole batch on one device."""
    return phases.Inputs(
        state=state,
        reals=reals,
        labels=labels,
        lod=models.LevelOfDetail(resolution),
        key=lambda stream: jax.random.key(0),
        shard_batch=lambda x: x,
        padded_rows=lambda rows: rows,
    )


class Tape:
    """Random numbers for one trace of an objective, and a record of its computations.

    Attributes:
      seen: the functions of `losses`, each with its arguments and result.
      scores: (True for real images, scores) of each call of the discriminator.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **widths: int):
        """Intercept the phases; `widths` are the numbers of columns of the labels."""
        self._widths = widths
        self.seen: dict[str, tuple] = {}
        self.scores: list[tuple[bool, jax.Array]] = []
        monkeypatch.setattr(phases, "losses", self)
        monkeypatch.setattr(phases, "mixing_cutoff", self._mixing_cutoff)
        for module, name in ((blur, "blur"), (transforms, "augment")):
            changed = self._following_reals(getattr(module, name))
            monkeypatch.setattr(module, name, changed)

    def pack(self, rows: int, **columns: np.ndarray) -> np.ndarray:
        """Concatenate columns [at most `rows`, ...], with zeros for missing ones."""
        parts = []
        for name, width in self._widths.items():
            part = np.zeros((rows, width), np.float32)
            if name in columns:
                values = np.asarray(columns[name])
                part[: len(values)] = values.reshape(len(values), width)
            parts.append(part)
        return np.concatenate(parts, axis=1)

    def replay(self, phase: phases.Phase) -> phases.Phase:
        """Return the phase, which then expects labels from `pack`."""

        def objective(params: Any, inputs: phases.Inputs):
            edges = np.cumsum(list(self._widths.values()))[:-1]
            columns = jnp.split(inputs.labels, edges, axis=1)
            self._columns = dict(zip(self._widths, columns, strict=True))
            self._latents = [self._columns["z"], self._columns["mix_z"]]
            self._reals, self._all_real = inputs.reals, phase.name == "d_r1"
            self.seen, self.scores = {}, []
            labels = self._columns["real_c"]
            inputs = dataclasses.replace(
                inputs, labels=labels if labels.shape[1] else None
            )
            return phase.objective(params, inputs)

        return dataclasses.replace(phase, objective=objective)

    def networks(self, generator: Any, discriminator: Any) -> tuple[Any, Any]:
        """Return the networks with intercepted calls, for `phases.GANObjectives`."""
        return InterceptedNetwork(generator, self._generate), InterceptedNetwork(
            discriminator, self._discriminate
        )

    def _labels(self, name: str, rows: int) -> jax.Array | None:
        labels = self._columns[name][:rows]
        return labels if labels.shape[1] else None

    def _generate(self, model: Any, variables: Any, x: jax.Array, *labels, **kwargs):
        if kwargs["method"] == "map":
            z = self._latents.pop(0)[: len(x)]
            return model.apply(variables, z, self._labels("gen_c", len(x)), **kwargs)
        assert kwargs["noise"] == "random"
        return model.apply(variables, x, **(kwargs | {"noise": "const"}))

    def _discriminate(
        self, model: Any, variables: Any, images: jax.Array, labels, **kwargs
    ):
        real = self._all_real or images is self._reals
        labels = self._labels("real_c" if real else "gen_c", len(images))
        scores = model.apply(variables, images, labels, **kwargs)
        self.scores.append((real, scores))
        return scores

    def _following_reals(self, function: Callable) -> Callable:
        """Return a function of images that recognizes the reals in its result, too."""

        def followed(*args) -> jax.Array:
            result = function(*args)
            if any(argument is self._reals for argument in args):
                self._reals = result
            return result

        return followed

    def _mixing_cutoff(self, key, batch: int, layers: int, probability: float):
        return self._columns["cutoff"][:batch, 0].astype(jnp.int32)

    def __getattr__(self, name: str) -> Callable:
        """Return a function of `losses` that records its calls."""
        function = getattr(losses, name)

        def recorded(*args):
            if name == "path_noise":
                shape = args[0].shape
                args = (self._columns["noise"][: shape[0]].reshape(shape),)
            result = function(*args)
            if name == "adversarial_loss":
                return self._record_loss(result)
            self.seen[name] = args, result
            return result

        return recorded

    def _record_loss(self, loss: losses.AdversarialLoss) -> losses.AdversarialLoss:
        """Record the losses of both networks as "generator" and "discriminator"."""

        def record(name: str, function: Callable) -> Callable:
            def recorded(*args):
                self.seen[name] = args, function(*args)
                return self.seen[name][1]

            return recorded

        return dataclasses.replace(
            loss,
            generator=record("generator", loss.generator),
            discriminator=record("discriminator", loss.discriminator),
        )


class InterceptedNetwork:
    """A network whose calls of `apply` go through `function`."""

    def __init__(self, model: Any, function: Callable):
        self._model, self._function = model, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def apply(self, *args, **kwargs) -> Any:
        return self._function(self._model, *args, **kwargs)


def tape_for(monkeypatch: pytest.MonkeyPatch, recording: Recording) -> Tape:
    """Return a tape with a column for every kind of number in the file."""
    g = recording.settings["G_kwargs"]
    return Tape(
        monkeypatch,
        real_c=recording.label_size,
        gen_c=recording.label_size,
        z=g["z_dim"],
        mix_z=g["z_dim"],
        cutoff=1,
        noise=g["img_channels"] * g["img_resolution"] ** 2,
    )


def percentile_numbers(
    shape: tuple[int, ...],
    names: Iterable[str],
    percentile: float,
    noise: np.ndarray | None = None,
) -> transforms.Numbers:
    """Return the numbers for `debug_percentile` of the official pipeline.

    Every transform except the second rotation is applied at that percentile of its
    strength. The official percentile of the normal distribution lacks a factor sqrt(2),
    and that of the noise has another argument.
    """
    values, gates = {}, {}
    for name in names:
        value = percentile
        if name == "noise":
            value = jax.scipy.special.erfinv(percentile)
        elif name not in transforms.UNIFORM:
            value = jax.scipy.special.erfinv(2 * percentile - 1)
        values[name] = jnp.full(shape[:1] + transforms.WIDTHS.get(name, ()), value)
        bands = (4,) if name == "imgfilter" else ()
        gates[name] = jnp.full(shape[:1] + bands, float(name == "rotate_post"))
    return transforms.Numbers(values, gates, noise)
