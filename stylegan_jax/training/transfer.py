"""Starts a run from networks that were trained before.

Arrays are matched by name and shape, so the source may have another resolution (names
count from 4x4 up), other widths or other labels: what fits is loaded, the rest stays
as it was initialised. The optimizers and the clock always start afresh.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from etils import epath

from stylegan_jax import config, models, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.runtime import storage
from stylegan_jax.training import state as train_state
from stylegan_jax.training import step
from stylegan_jax.training.phases import build_phases
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR, TrainState

EMA = "ema"
OUTCOMES = LOADED, INITIALISED, LEFT_OVER = "loaded", "initialised", "left over"
Arrays = dict[str, jax.Array]  # by name, e.g. "params/blocks_0/const"


@dataclasses.dataclass(frozen=True)
class Row:
    """What becomes of one array; a shape is None where there is no such array."""

    network: str
    array: str
    outcome: str
    shape: tuple[int, ...] | None
    source_shape: tuple[int, ...] | None


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Networks to start from, and what of them fits.

    Attributes:
      name: of the source, for people.
      networks: of GENERATOR, DISCRIMINATOR and EMA those that it has.
      notes: what it lacks, and what takes its place.
      rows: every array of this run or of the source.
    """

    name: str
    networks: dict[str, Arrays]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]

    def load(self, state: TrainState) -> TrainState:
        """The state with all arrays replaced that fit."""
        parts = _parts(state)
        for row in self.rows:
            if row.outcome == LOADED:
                # Copied, for the generator and its average may begin as one array.
                array = jnp.copy(self.networks[row.network][row.array])
                parts[row.network][row.array] = array
        generator = _unflatten(parts[GENERATOR], _generator_variables(state))
        discriminator = _unflatten(
            parts[DISCRIMINATOR], {"params": state.params[DISCRIMINATOR]}
        )
        return state.replace(
            params={
                GENERATOR: generator["params"],
                DISCRIMINATOR: discriminator["params"],
            },
            w_avg=generator["stats"]["w_avg"],
            ema=_unflatten(parts[EMA], state.ema),
        )

    def table(self) -> list[str]:
        """Lines for people: every array, then a line per network and the notes."""
        head = ("network", "array", "outcome", "shape here", "shape there")
        cells = [
            (r.network, r.array, r.outcome, _text(r.shape), _text(r.source_shape))
            for r in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
            for line in [head, *cells]
        ]
        lines.append(f"transfer from {self.name}")
        for network in (GENERATOR, DISCRIMINATOR, EMA):
            outcomes = [row.outcome for row in self.rows if row.network == network]
            lines.append(
                f"  {network}: "
                + ", ".join(f"{outcomes.count(o)} arrays {o}" for o in OUTCOMES)
            )
        return lines + [f"  {note}" for note in self.notes]


def plan(path: str, state: TrainState) -> Transfer:
    """Reads the networks of a run, or of a converted network, and sees what fits.

    Args:
      path: the directory, of which the newest intact checkpoint is taken; or one of
        its `checkpoints/NUMBER`.
      state: shapes, dtypes and shardings of this run's state.

    Raises:
      ValueError: there is no such directory, nothing usable in it, or nothing fits.
    """
    name, items = _read(path, state.step.sharding)
    networks, notes = _networks(items)
    rows = compare(_parts(state), networks)
    # Biases and scalars always find some of their shape.
    if not any(
        row.outcome == LOADED and row.array.startswith("params/") and len(row.shape) > 1
        for row in rows
    ):
        raise ValueError(
            f"`training.transfer` (={path!r}): no weight in {name} has the name and "
            "shape of one of this run; compare `model` and `data` in its config.json "
            "with this run's"
        )
    return Transfer(name, networks, notes, rows)


def compare(here: dict[str, Arrays], there: dict[str, Arrays]) -> tuple[Row, ...]:
    """Matches arrays, or their shapes, by network and name."""
    rows = []
    for network, arrays in here.items():
        others = there.get(network, {})
        for name in [*arrays, *(other for other in others if other not in arrays)]:
            shape = arrays[name].shape if name in arrays else None
            other = others[name].shape if name in others else None
            outcome = LOADED if shape == other else INITIALISED
            outcome = LEFT_OVER if shape is None else outcome
            rows.append(Row(network, name, outcome, shape, other))
    return tuple(rows)


def _read(path: str, sharding: jax.sharding.Sharding) -> tuple[str, dict[str, Any]]:
    """What the checkpoint is called, and its items."""
    directory, number = _split(path)
    data = workdir.load_data_info(directory)
    if data is None or not (directory / "config.json").exists():
        raise ValueError(
            f"`training.transfer` (={path!r}) must be the --workdir of a training, the "
            "--out of a conversion, or one of their checkpoints/NUMBER; config.json or "
            f"data.json is missing in {directory}"
        )
    e = config.load(directory / "config.json")
    templates = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        _templates(e, workdir.label_size(e, data)),
    )
    checkpoints = workdir.open_checkpoints(directory, 1, print)
    try:
        items = checkpoints.items(number)
        there = {k: v for k, v in templates.items() if k in items}
        number, items, _ = checkpoints.restore(there, number)
    except CheckpointError as error:
        raise ValueError(f"`training.transfer` (={path!r}): {error}") from error
    finally:
        checkpoints.close()
    return f"{directory}, checkpoint {number}", items


def _split(path: str) -> tuple[epath.Path, int | None]:
    """A run's directory and the number of the checkpoint, if `path` names one."""
    directory = storage.open_path(path)
    if directory.parent.name == "checkpoints" and directory.name.isdigit():
        return directory.parent.parent, int(directory.name)
    return directory, None


def _templates(e: config.Experiment, label_size: int) -> dict[str, Any]:
    """Shapes of the items that a checkpoint of an experiment may have."""
    networks = models.build(e.model, e.data, label_size)
    phases = tuple(phase.name for phase in build_phases(e, *networks))
    optimizers = step.build_optimizers(e)
    state = jax.eval_shape(
        lambda: train_state.create(*networks, optimizers, phases, e.run.seed)
    )
    return {
        EMA: state.ema,
        "training": state.replace(ema={}),
        # In the place of "training" in a converted network.
        GENERATOR: state.ema,
        DISCRIMINATOR: {"params": state.params[DISCRIMINATOR]},
    }


def _networks(items: dict[str, Any]) -> tuple[dict[str, Arrays], tuple[str, ...]]:
    """The networks among the items of a checkpoint, and notes."""
    if "training" in items:
        return _parts(items["training"].replace(ema=items[EMA])), ()
    networks = {network: _flatten(tree) for network, tree in items.items()}
    notes = []
    if EMA not in networks and GENERATOR in networks:
        networks[EMA] = networks[GENERATOR]
        notes.append("it has no averaged generator: the trained one serves for both")
    if GENERATOR not in networks and EMA in networks:
        networks[GENERATOR] = networks[EMA]
        notes.append("it has only the averaged generator, which serves for both")
    if DISCRIMINATOR not in networks:
        notes.append("it has no discriminator: this run's starts as initialised")
    networks[GENERATOR] = {  # the state has these once, in the average
        name: array
        for name, array in networks.get(GENERATOR, {}).items()
        if not name.startswith("noise/")
    }
    return networks, tuple(notes)


def _generator_variables(state: TrainState) -> models.Variables:
    return {"params": state.params[GENERATOR], "stats": {"w_avg": state.w_avg}}


def _parts(state: TrainState) -> dict[str, Arrays]:
    """All that is transferred of a state, by network and name."""
    return {
        GENERATOR: _flatten(_generator_variables(state)),
        DISCRIMINATOR: _flatten({"params": state.params[DISCRIMINATOR]}),
        EMA: _flatten(state.ema),
    }


def _flatten(tree: Any) -> Arrays:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _unflatten(arrays: Arrays, like: Any) -> Any:
    """The inverse of `_flatten`, for a tree of the structure of `like`."""
    return jax.tree.unflatten(jax.tree.structure(like), list(arrays.values()))


def _text(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "-"
    return "x".join(map(str, shape)) or "scalar"
