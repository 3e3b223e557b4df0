"""Devices and processes: the only file that knows mesh, sharding and process index.

Training is data parallel: batches are split over all devices of all hosts, the state
is replicated. Written as one program over global arrays, so the numbers do not depend
on how many devices run it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def initialize(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Joins the processes of one run; call it before anything else touches JAX.

    Args:
      coordinator: "host:port" of process 0; None lets JAX find out from the
        environment (TPU pods, SLURM, Open MPI).
      num_processes: how many there are, with `coordinator`.
      process_id: which one this is, with `coordinator`.
    """
    jax.distributed.initialize(
        coordinator,
        num_processes,
        process_id,
        heartbeat_timeout_seconds=60,
        shutdown_timeout_seconds=60,
    )


@dataclasses.dataclass(frozen=True)
class Parallel:
    """The devices of a run in one row, and how arrays lie on them."""

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

    def check_batch(self, name: str, batch_size: int, rounds: int = 1) -> None:
        """Raises ValueError unless the devices get equal shares in every round."""
        n = self.num_devices * rounds
        each = f"the {self.num_devices} devices"
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

    def replicate(self, tree: Any) -> Any:
        """Copies host arrays, equal on all processes, to every device."""
        return jax.tree.map(
            lambda x: jax.make_array_from_callback(
                np.shape(x), self.replicated, lambda index, x=x: np.asarray(x)[index]
            ),
            tree,
        )

    def split(self, x: jax.Array) -> jax.Array:
        """Inside jit: asks for x [B, ...] to be split along its first axis."""
        return jax.lax.with_sharding_constraint(x, self.batched)

    def jit_replicated(self, f: Callable, **kwargs: Any) -> Callable:
        """`jax.jit(f)` with results whole on every device."""
        return jax.jit(f, out_shardings=self.replicated, **kwargs)

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


def data_parallel() -> Parallel:
    """All devices along one axis, in the order of the processes.

    Not in the order of the interconnect, as `jax.make_mesh` has it: the rows of a batch
    must not depend on how hosts are wired.
    """
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    return Parallel(Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,)))
