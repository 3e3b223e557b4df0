"""Devices and processes: the only file that knows mesh, sharding and process index.

Training is data parallel: batches are split over all devices of all hosts, the state
is replicated, or in part split too; groups of devices may share the rows of an image.
Written as one program over global arrays, so the numbers do not depend on how many
devices run it.
"""

import contextlib
import dataclasses
import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def initialize(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    heartbeat_seconds: int,
) -> None:
    """Joins the processes of one run; call it before anything else touches JAX.

    Args:
      coordinator: "host:port" of process 0; None lets JAX find out from the
        environment (TPU pods, SLURM, Open MPI).
      num_processes: how many there are, with `coordinator`.
      process_id: which one this is, with `coordinator`.
      heartbeat_seconds: a process that is silent for so long is taken for dead: JAX
        names it in all the others and aborts them (status 134).
    """
    jax.distributed.initialize(
        coordinator,
        num_processes,
        process_id,
        heartbeat_timeout_seconds=heartbeat_seconds,
        shutdown_timeout_seconds=heartbeat_seconds,
    )


class ProcessLost(RuntimeError):
    """Another process of the run cannot be reached any more."""


@contextlib.contextmanager
def explaining_lost_processes(heartbeat_seconds: int) -> Iterator[None]:
    """Says what it means, and what to do, when a collective finds nobody there.

    Where a collective hangs instead of failing, JAX aborts the process at the heartbeat
    without coming by here; it names the one that is gone all the same.

    Args:
      heartbeat_seconds: as given to `initialize`.

    Raises:
      ProcessLost: in the place of the error of a broken connection.
    """
    try:
        yield
    except Exception as error:
        problem = _broken_connection(error)
        if jax.process_count() == 1 or problem is None:
            raise
        raise ProcessLost(
            f"process {jax.process_index()} of {jax.process_count()} has lost another "
            f'process of the run: {problem}. JAX will name it below ("tasks are '
            f'unhealthy") within `run.heartbeat_seconds` (={heartbeat_seconds}) and '
            "abort this process, unless it was process 0, which is the one that JAX "
            "asks. End what is left of the run and start the same command in all "
            "processes: it resumes from the last checkpoint"
        ) from error


def _broken_connection(error: BaseException | None) -> str | None:
    """The first line of the error of the network that is behind an error, if one is."""
    while error is not None:
        text = str(error).strip()
        of_jax = isinstance(error, (jax.errors.JaxRuntimeError, ValueError))
        if of_jax and re.search(
            r"\bgloo\b|\bNCCL\b|UNAVAILABLE|by peer", text, re.IGNORECASE
        ):
            return text.splitlines()[0][:300]
        error = error.__cause__
    return None


@dataclasses.dataclass(frozen=True)
class Parallel:
    """The devices of a run, and how arrays lie on them.

    Attributes:
      mesh: one axis, over which batches are split, or a second one, over which the
        height of images is.
    """

    mesh: Mesh

    @property
    def replicated(self) -> NamedSharding:
        """Whole arrays on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batched(self) -> NamedSharding:
        """Arrays split along their first axis."""
        return NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names[0]))

    @property
    def num_devices(self) -> int:
        """Devices over all hosts."""
        return self.mesh.size

    @property
    def batch_shards(self) -> int:
        """Parts into which a batch is split."""
        return self.mesh.axis_sizes[0]

    @property
    def process_index(self) -> int:
        """Which process this is."""
        return jax.process_index()

    @property
    def process_count(self) -> int:
        """How many processes there are."""
        return jax.process_count()

    @property
    def is_main(self) -> bool:
        """Whether this process writes logs and images."""
        return self.process_index == 0

    def shard_largest_axis(self, shape: tuple[int, ...]) -> NamedSharding:
        """An array split over all devices along its longest axis that allows it.

        Of axes that are equally long it is the last; an array that no axis allows to
        split is whole on every device.
        """
        n = self.num_devices
        candidates = [i for i, size in enumerate(shape) if size and size % n == 0]
        if not candidates:
            return self.replicated
        axis = max(candidates, key=lambda i: (shape[i], i))
        return NamedSharding(
            self.mesh, PartitionSpec(*[None] * axis, self.mesh.axis_names)
        )

    def device_memory(self) -> float | None:
        """Bytes of the smallest device of all processes; all have to call it.

        None if a device does not say, as CPUs do not.
        """
        stats = [device.memory_stats() or {} for device in jax.local_devices()]
        smallest = min(s.get("bytes_limit", 0) for s in stats)
        everywhere = multihost_utils.process_allgather(np.float64(smallest))
        return float(np.min(everywhere)) or None

    def check_agreement(self, facts: dict[str, str]) -> None:
        """Compares the processes, and runs a collective over all devices.

        Args:
          facts: what has to be the same in all of them, e.g. versions, by name.

        Raises:
          RuntimeError: the collective did not reach every device.
          ValueError: they differ; names the facts, the processes and their values.
        """
        everywhere = _gather_texts(json.dumps(facts))
        problems = differences([json.loads(text) for text in everywhere])
        if problems:
            raise ValueError(
                "the processes of this run differ; install, configure and mount the "
                "same everywhere:\n  " + "\n  ".join(problems)
            )
        flags = self.put_batch(np.ones(jax.local_device_count(), np.float32))
        reached = float(self.jit_replicated(jnp.sum)(flags))
        if reached != len(flags):
            raise RuntimeError(
                f"a sum over {len(flags)} devices gave {reached:g}; one of them, or "
                "the connection between two, computes wrongly: start again without it"
            )

    def check_batch(self, name: str, batch_size: int, rounds: int = 1) -> None:
        """Raises ValueError unless the devices get equal shares in every round."""
        n = self.batch_shards * rounds
        each = f"the {self.num_devices} devices"
        if self.batch_shards < self.num_devices:
            share = self.num_devices // self.batch_shards
            each = f"the {self.batch_shards} groups of {share} devices"
        if rounds > 1:
            each += f" times {rounds} rounds of accumulation"
        if batch_size % n:
            lower = batch_size // n * n
            options = " or ".join(str(b) for b in (lower, lower + n) if b > 0)
            raise ValueError(
                f"`{name}` (={batch_size}) must be divisible by {each}; try {options}."
            )

    def put_batch(self, local: Any) -> Any:
        """This process's rows [b, ...] of a batch -> the global array [B, ...]."""
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(self.batched, x), local
        )

    def local_rows(self, x: jax.Array) -> np.ndarray:
        """This process's rows [b, ...] of a global array [B, ...] split as a batch."""
        parts = {shard.index[0].start or 0: shard for shard in x.addressable_shards}
        return np.concatenate([np.asarray(parts[at].data) for at in sorted(parts)])

    def all_rows(self, local: np.ndarray) -> np.ndarray:
        """The rows [b, ...] of all processes, in their order; for all to call."""
        if self.process_count == 1:
            return local
        return np.asarray(multihost_utils.process_allgather(local, tiled=True))

    def replicate(self, tree: Any) -> Any:
        """Copies host arrays, equal on all processes, to every device."""
        return jax.tree.map(
            lambda x: jax.make_array_from_callback(
                np.shape(x), self.replicated, lambda index, x=x: np.asarray(x)[index]
            ),
            tree,
        )

    def reshard(self, tree: Any, shardings: Any) -> Any:
        """The arrays of a tree with these shardings: one, or a tree of them."""
        return jax.jit(lambda x: x, out_shardings=shardings)(tree)

    def replicate_global(self, tree: Any) -> Any:
        """The arrays of a tree, whole on every device; for all processes to call."""
        if all(x.sharding.is_fully_replicated for x in jax.tree.leaves(tree)):
            return tree
        return _gather(self.replicated)(tree)

    def constrain_batch(self, x: jax.Array) -> jax.Array:
        """Inside jit: asks for x [B, ...] to be split along its first axis.

        Fewer rows than devices, as the path length has when it takes half of a batch
        with one image a device, are left to the compiler.
        """
        if len(x) % self.batch_shards:
            return x
        return jax.lax.with_sharding_constraint(x, self.batched)

    def constrain_replicated(self, tree: Any) -> Any:
        """Inside jit: asks for the arrays of a tree to be whole on every device."""
        return jax.lax.with_sharding_constraint(tree, self.replicated)

    def constrain_height(self, x: jax.Array) -> jax.Array:
        """Inside jit: asks for x [B,H,W,C] to be split along B, and along H.

        Along H only if the devices have an axis for it. What does not divide is left
        to the compiler.
        """
        axes = self.mesh.axis_names
        sizes = zip(x.shape, self.mesh.axis_sizes, strict=False)
        if len(axes) == 1 or any(size % parts for size, parts in sizes):
            return x
        sharding = NamedSharding(self.mesh, PartitionSpec(*axes))
        return jax.lax.with_sharding_constraint(x, sharding)

    def jit_replicated(self, f: Callable, **kwargs: Any) -> Callable:
        """`jax.jit(f)` with results whole on every device."""
        return jax.jit(f, out_shardings=self.replicated, **kwargs)

    def jit_batched(self, f: Callable, **kwargs: Any) -> Callable:
        """`jax.jit(f)` with results split along their first axis."""
        return jax.jit(f, out_shardings=self.batched, **kwargs)

    def any_process(self, flag: bool) -> Callable[[], bool]:
        """Starts to ask whether `flag` is set on any process; all have to call it.

        Returns:
          A function that waits for the answer, which is the same on all processes.
        """
        if self.process_count == 1:
            return lambda: flag
        flags = self.put_batch(np.full(jax.local_device_count(), flag))
        answer = self.jit_replicated(jnp.any)(flags)
        return lambda: bool(np.asarray(answer))


def data_parallel(height_devices: int = 1) -> Parallel:
    """All devices along one axis, in the order of the processes.

    Not in the order of the interconnect, as `jax.make_mesh` has it: the rows of a batch
    must not depend on how hosts are wired.

    Args:
      height_devices: neighbours in that order that share the rows of each image.

    Raises:
      ValueError: the devices do not split into such groups within every process.
    """
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    if jax.local_device_count() % height_devices:
        raise ValueError(
            f"`run.height_devices` (={height_devices}) must divide the "
            f"{jax.local_device_count()} devices of a process; 1 splits no image"
        )
    return grid(devices, height_devices)


def local() -> Parallel:
    """The devices of this process along one axis, for what it computes alone."""
    return grid(sorted(jax.local_devices(), key=lambda d: d.id), 1)


def grid(devices: list[Any], height_devices: int) -> Parallel:
    """Devices in their order, `height_devices` neighbours to a group."""
    if height_devices == 1:
        return Parallel(Mesh(np.array(devices), ("data",), (AxisType.Auto,)))
    rows = np.array(devices).reshape(-1, height_devices)
    return Parallel(Mesh(rows, ("data", "height"), (AxisType.Auto,) * 2))


def differences(everywhere: list[dict[str, str]]) -> list[str]:
    """What is not the same in all processes, a line for each fact.

    Args:
      everywhere: the facts of every process, in order.

    Returns:
      E.g. "jax: '0.10.2' in processes 0, 1; '0.9.0' in process 2".
    """
    problems = []
    for name in dict.fromkeys(name for facts in everywhere for name in facts):
        holders: dict[str, list[int]] = {}
        for process, facts in enumerate(everywhere):
            holders.setdefault(facts.get(name, "nothing"), []).append(process)
        if len(holders) > 1:
            problems.append(
                f"{name}: "
                + "; ".join(
                    f"{value!r} in process{'es' * (len(who) > 1)} "
                    + ", ".join(map(str, who))
                    for value, who in holders.items()
                )
            )
    return problems


@functools.cache
def _gather(whole: NamedSharding) -> Callable[[Any], Any]:
    return jax.jit(lambda tree: tree, out_shardings=whole)


def _gather_texts(text: str) -> list[str]:
    """The text of every process, in order; all have to call it."""
    content = np.frombuffer(text.encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(len(content)))
    padded = np.zeros(int(np.max(sizes)), np.uint8)
    padded[: len(content)] = content
    rows = multihost_utils.process_allgather(padded)
    return [bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)]
