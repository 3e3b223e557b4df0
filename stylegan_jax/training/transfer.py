"""Transfer learning: start a run from trained networks.

Arrays are matched by name and shape, so the source may have another resolution (names
count from 4x4 up), other widths or other labels. Arrays that match are loaded, the rest
stay as they were initialized. The optimizers and the clock always start from zero.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax import config, models, workdir
from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.logger import RunLogger
from stylegan_jax.runtime.messages import aligned
from stylegan_jax.training import setup
from stylegan_jax.training.state import (
    DISCRIMINATOR,
    GENERATOR,
    TrainState,
    without_w_avg,
)

EMA = "ema"
# The values are stored in log.jsonl.
OUTCOMES = LOADED, INITIALIZED, LEFT_OVER = "loaded", "initialised", "left over"
Arrays = dict[str, jax.Array]  # by name, e.g. "params/blocks_0/const"


@dataclasses.dataclass(frozen=True)
class Row:
    """Outcome for one array; a shape is None where the array is missing."""

    network: str
    array: str
    outcome: str
    shape: tuple[int, ...] | None
    source_shape: tuple[int, ...] | None


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Networks to start from, and which of their arrays match.

    Attributes:
      name: name of the source, for the log.
      networks: arrays of the source by network: GENERATOR, DISCRIMINATOR, EMA.
      notes: networks that the source lacks, and what replaces them.
      rows: outcome of every array of this run or of the source.
    """

    name: str
    networks: dict[str, Arrays]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]

    def load(self, state: TrainState) -> TrainState:
        """Return the state with all matching arrays replaced."""
        parts = _parts(state)
        for row in self.rows:
            if row.outcome == LOADED:
                # Copy: the generator and its average may share an array.
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
            magnitudes=without_w_avg(generator["stats"]),
            ema=_unflatten(parts[EMA], state.ema),
        )

    def table(self) -> list[str]:
        """Return lines for the console.

        They list the arrays that were not loaded, if there are any, the numbers of
        arrays of each network, and the notes.
        """
        head = ("network", "array", "outcome", "shape here", "shape there")
        cells = [
            (r.network, r.array, r.outcome, _text(r.shape), _text(r.source_shape))
            for r in self.rows
            if r.outcome != LOADED
        ]
        lines = aligned([head, *cells]) if cells else []
        lines.append(f"transfer from {self.name}")
        for network in (GENERATOR, DISCRIMINATOR, EMA):
            outcomes = [row.outcome for row in self.rows if row.network == network]
            lines.append(
                f"  {network}: "
                + ", ".join(f"{outcomes.count(o)} arrays {o}" for o in OUTCOMES)
            )
        return lines + [f"  {note}" for note in self.notes]

    def log(self, logger: RunLogger) -> None:
        """Log the source, the arrays that were loaded, and those that were not."""
        for line in self.table():
            logger.line(line)
        logger.event(
            "transfer",
            source=self.name,
            notes=self.notes,
            arrays=[dataclasses.asdict(row) for row in self.rows],
        )


def plan(path: str, state: TrainState) -> Transfer:
    """Read the networks of a run or of a conversion, and match their arrays.

    Args:
      path: the directory, whose newest intact checkpoint is read, or one of its
        `checkpoints/NUMBER`.
      state: shapes, dtypes and shardings of this run's state.

    Raises:
      ValueError: if there is no such directory, it has no usable checkpoint, or no
        weight matches.
    """
    name, items = _read(path, state.step.sharding)
    networks, notes = _networks(items)
    rows = compare(_parts(state), networks)
    # Biases and scalars do not count: the shapes of some always match.
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
    """Match arrays, or their shapes, by network and name."""
    rows = []
    for network, arrays in here.items():
        others = there.get(network, {})
        for name in [*arrays, *(other for other in others if other not in arrays)]:
            shape = arrays[name].shape if name in arrays else None
            other = others[name].shape if name in others else None
            outcome = LOADED if shape == other else INITIALIZED
            outcome = LEFT_OVER if shape is None else outcome
            rows.append(Row(network, name, outcome, shape, other))
    return tuple(rows)


def _read(path: str, sharding: jax.sharding.Sharding) -> tuple[str, dict[str, Any]]:
    """Return the name of the checkpoint and its items."""
    directory, number = workdir.split(path)
    try:
        e, data = workdir.load_description(directory)
    except ValueError as error:
        raise ValueError(
            f"`training.transfer` (={path!r}) must be the --workdir of a training "
            "run, the --out of a conversion, or one of their checkpoints/NUMBER. "
            f"{error}"
        ) from error
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


def _templates(e: config.Experiment, label_size: int) -> dict[str, Any]:
    """Return the shapes of the items that a checkpoint of an experiment may have."""
    state = setup.build(e, parallel.local(), label_size).abstract_state
    return {
        EMA: state.ema,
        "training": state.replace(ema={}),
        # A conversion has these instead of "training".
        GENERATOR: state.ema,
        DISCRIMINATOR: {"params": state.params[DISCRIMINATOR]},
    }


def _networks(items: dict[str, Any]) -> tuple[dict[str, Arrays], tuple[str, ...]]:
    """Return the networks among a checkpoint's items, and notes on what it lacks."""
    if "training" in items:
        state = items["training"].replace(ema=items[EMA])
        # Spectrally normalized, these are the parameters of an ordinary network.
        judge = state.discriminator_variables(state.params[DISCRIMINATOR])["params"]
        return _parts(state.replace(params=state.params | {DISCRIMINATOR: judge})), ()
    networks = {network: _flatten(tree) for network, tree in items.items()}
    notes = []
    if EMA not in networks and GENERATOR in networks:
        networks[EMA] = networks[GENERATOR]
        notes.append("it has no averaged generator; the trained one is used for both")
    if GENERATOR not in networks and EMA in networks:
        networks[GENERATOR] = networks[EMA]
        notes.append("it has only the averaged generator, which is used for both")
    if DISCRIMINATOR not in networks:
        notes.append("it has no discriminator; this run's keeps its initialization")
    networks[GENERATOR] = {  # the state stores what is not trained in the average
        name: array
        for name, array in networks.get(GENERATOR, {}).items()
        if name.startswith(("params/", "stats/"))
    }
    return networks, tuple(notes)


def _generator_variables(state: TrainState) -> models.Variables:
    return {"params": state.params[GENERATOR], "stats": state.stats}


def _parts(state: TrainState) -> dict[str, Arrays]:
    """Return the arrays of a state that are transferred, by network and name."""
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
    """Invert `_flatten` for a tree with the structure of `like`."""
    return jax.tree.unflatten(jax.tree.structure(like), list(arrays.values()))


def _text(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "-"
    return "x".join(map(str, shape)) or "scalar"
