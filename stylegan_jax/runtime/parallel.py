"""Devices: the only module that deals with meshes and shardings.

Training is data parallel: batches are sharded over all devices of all hosts, and the
state is replicated or partly sharded. Groups of devices may share the rows of an image.
Programs operate on global arrays, so their results do not depend on the number of
devices.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import (
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    SingleDeviceSharding,
)

from stylegan_jax.runtime import cli, collectives, messages


@dataclasses.dataclass(frozen=True)
class Parallel:
    """The devices of a run, and the shardings of arrays on them.

    Attributes:
      mesh: one axis, over which batches are sharded, and possibly a second one, over
        which the height of images is sharded.
    """

    mesh: Mesh

    @property
    def replicated(self) -> NamedSharding:
        """Sharding with the whole array on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batched(self) -> NamedSharding:
        """Sharding along the first axis."""
        return NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names[0]))

    @property
    def num_devices(self) -> int:
        """Number of devices of all hosts."""
        return self.mesh.size

    @property
    def platform(self) -> str:
        """Platform of the devices, such as "tpu"; empty if they are abstract."""
        if not isinstance(self.mesh, Mesh):
            return ""
        return self.mesh.devices.flat[0].platform

    @property
    def batch_shards(self) -> int:
        """Number of shards of a batch."""
        return self.mesh.axis_sizes[0]

    @property
    def process_index(self) -> int:
        """Index of this process."""
        return jax.process_index()

    @property
    def process_count(self) -> int:
        """Number of processes."""
        return jax.process_count()

    @property
    def is_main(self) -> bool:
        """True in the process that writes logs and images."""
        return self.process_index == 0

    def shard_largest_axis(self, shape: tuple[int, ...]) -> NamedSharding:
        """Return the sharding over all devices along the largest divisible axis.

        Among axes of equal size, it is the last. An array without a divisible axis is
        replicated.
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
        """Return the bytes of memory of the smallest device of all processes.

        All processes must call it. None if a device, such as a CPU, does not report its
        memory.
        """
        stats = [device.memory_stats() or {} for device in jax.local_devices()]
        smallest = min(s.get("bytes_limit", 0) for s in stats)
        everywhere = multihost_utils.process_allgather(np.float64(smallest))
        return float(np.min(everywhere)) or None

    def check_agreement(self, facts: dict[str, str]) -> None:
        """Compare the processes, and test a collective over all devices.

        Args:
          facts: name -> value that must be the same in all processes, such as versions.

        Raises:
          RuntimeError: if the collective did not reach every device.
          ValueError: if processes differ; names the facts, the processes and their
            values.
        """
        everywhere = collectives.gather_texts(json.dumps(facts))
        problems = collectives.differences([json.loads(text) for text in everywhere])
        if problems:
            raise ValueError(
                "the processes of this run differ; give all of them the same versions, "
                "settings and data:" + messages.lines(problems)
            )
        flags = self.put_batch(np.ones(jax.local_device_count(), np.float32))
        reached = float(self.jit_replicated(jnp.sum)(flags))
        if reached != len(flags):
            raise RuntimeError(
                f"a sum of ones over {len(flags)} devices gave {reached:g}; one of "
                "them, or a connection between two, is faulty: start again without it"
            )

    def check_batch(
        self,
        name: str,
        batch_size: int,
        parts: int = 1,
        kind: str = "rounds of accumulation",
    ) -> None:
        """Raise ValueError unless a batch divides evenly over devices and parts.

        Args:
          name: name of the setting, for the message.
          batch_size: images in a batch.
          parts: number of equal parts of each device's share.
          kind: name of the parts, for the message.
        """
        n = self.batch_shards * parts
        divisor = f"the {self.num_devices} devices"
        if self.batch_shards < self.num_devices:
            share = self.num_devices // self.batch_shards
            divisor = f"the {self.batch_shards} groups of {share} devices"
        if parts > 1 and self.num_devices == 1:
            divisor = f"{parts} {kind}"
        elif parts > 1:
            divisor += f" times {parts} {kind}"
        if batch_size % n:
            lower = batch_size // n * n
            options = " or ".join(str(b) for b in (lower, lower + n) if b > 0)
            raise ValueError(
                f"`{name}` (={batch_size}) must be divisible by {divisor}; "
                f"try {options}"
            )

    def put_batch(self, local: Any) -> Any:
        """Return the global batch [B, ...] made of each process's rows [b, ...].

        Arrays that are global already are returned as they are.
        """

        def put(x: Any) -> jax.Array:
            if isinstance(x, jax.Array):
                return x
            return jax.make_array_from_process_local_data(self.batched, x)

        return jax.tree.map(put, local)

    def put_rows(
        self,
        load: Callable[[int, int], tuple[np.ndarray, ...]],
        shapes: tuple[tuple[int, ...], ...],
    ) -> tuple[jax.Array, ...]:
        """Return global arrays that are sharded along their first axis.

        Args:
          load: (start, stop) -> these rows of each array. It is called once for the
            rows of each shard of this process.
          shapes: shape of each array; the first axes are equal, and divide evenly.
        """
        indices = self.batched.addressable_devices_indices_map(shapes[0][:1])
        holders: dict[tuple[int, int], list[jax.Device]] = {}
        for device, (rows,) in indices.items():
            start, stop, _ = rows.indices(shapes[0][0])
            holders.setdefault((start, stop), []).append(device)
        shards: list[list[jax.Array]] = [[] for _ in shapes]
        for (start, stop), devices in holders.items():
            for own, x in zip(shards, load(start, stop), strict=True):
                own.extend(jax.device_put(x, device) for device in devices)
        return tuple(
            jax.make_array_from_single_device_arrays(shape, self.batched, own)
            for shape, own in zip(shapes, shards, strict=True)
        )

    def local_rows(self, x: jax.Array) -> np.ndarray:
        """Return this process's rows [b, ...] of a global batch [B, ...]."""
        parts = {shard.index[0].start or 0: shard for shard in x.addressable_shards}
        return np.concatenate([np.asarray(parts[at].data) for at in sorted(parts)])

    def all_rows(self, local: np.ndarray) -> np.ndarray:
        """Return the rows [b, ...] of all processes in order; all must call it."""
        if self.process_count == 1:
            return local
        return np.asarray(multihost_utils.process_allgather(local, tiled=True))

    def replicate(self, tree: Any) -> Any:
        """Copy host arrays, equal in all processes, to every device."""
        return jax.tree.map(
            lambda x: jax.make_array_from_callback(
                np.shape(x), self.replicated, lambda index, x=x: np.asarray(x)[index]
            ),
            tree,
        )

    def reshard(self, tree: Any, shardings: Any) -> Any:
        """Return a tree of arrays with other shardings: one for all, or a tree."""
        return jax.jit(lambda x: x, out_shardings=shardings)(tree)

    def replicate_global(self, tree: Any) -> Any:
        """Return a tree of arrays, replicated; all processes must call it."""
        if all(x.sharding.is_fully_replicated for x in jax.tree.leaves(tree)):
            return tree
        return _gather(self.replicated)(tree)

    def constrain_batch(self, x: jax.Array) -> jax.Array:
        """Constrain x [B, ...] inside jit to be sharded along its first axis.

        B must be a multiple of the number of shards; see `padded_rows`. An uneven
        batch would be computed whole on every device.
        """
        assert len(x) % self.batch_shards == 0, (x.shape, self.batch_shards)
        return jax.lax.with_sharding_constraint(x, self.batched)

    def padded_rows(self, rows: int) -> int:
        """Round `rows` up to a multiple of the number of batch shards."""
        return -(-rows // self.batch_shards) * self.batch_shards

    def constrain_sharded(self, tree: Any) -> Any:
        """Constrain a tree of arrays inside jit as `shard_largest_axis` does."""
        shardings = jax.tree.map(lambda x: self.shard_largest_axis(x.shape), tree)
        return jax.lax.with_sharding_constraint(tree, shardings)

    def constrain_replicated(self, tree: Any) -> Any:
        """Constrain a tree of arrays inside jit to be replicated."""
        return jax.lax.with_sharding_constraint(tree, self.replicated)

    def constrain_height(self, x: jax.Array) -> jax.Array:
        """Constrain x [B,H,W,C] inside jit to be sharded along B and H.

        This applies only if the mesh has an axis for the height. Sizes that do not
        divide evenly are left to the compiler.
        """
        axes = self.mesh.axis_names
        sizes = zip(x.shape, self.mesh.axis_sizes, strict=False)
        if len(axes) == 1 or any(size % parts for size, parts in sizes):
            return x
        sharding = NamedSharding(self.mesh, PartitionSpec(*axes))
        return jax.lax.with_sharding_constraint(x, sharding)

    def jit_replicated(self, f: Callable, **kwargs: Any) -> Callable:
        """Return `jax.jit(f)` with replicated results."""
        return jax.jit(f, out_shardings=self.replicated, **kwargs)

    def jit_batched(self, f: Callable, **kwargs: Any) -> Callable:
        """Return `jax.jit(f)` with results sharded along their first axis."""
        return jax.jit(f, out_shardings=self.batched, **kwargs)

    def any_process(self, flag: bool) -> Callable[[], bool]:
        """Start reducing `flag` over the processes; all must call it.

        Returns:
          A function that waits for the result: True, in all processes, if the flag is
          set in any.
        """
        if self.process_count == 1:
            return lambda: flag
        flags = self.put_batch(np.full(jax.local_device_count(), flag))
        answer = self.jit_replicated(jnp.any)(flags)
        return lambda: bool(np.asarray(answer))


def check_devices() -> None:
    """Check that JAX finds devices; programs call it before they use any.

    Raises:
      cli.NoDevice: JAX finds none on the platforms that it may use.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter without a plugin
        reason = " ".join(str(error).split()).rstrip(".")
        wanted = os.environ.get("JAX_PLATFORMS")
        if not wanted:
            message = f"JAX finds no device that it can use: {reason}"
            raise cli.NoDevice(message) from error
        raise cli.NoDevice(
            "JAX cannot use a platform that the environment variable JAX_PLATFORMS "
            f"(={wanted!r}) names{f': {reason}' * bool(reason)}; unset the variable to "
            "use the available devices, set it to cpu, or install JAX for that "
            "platform, as in `pip install 'stylegan_jax[gpu]'`"
        ) from error


def data_parallel(height_devices: int = 1) -> Parallel:
    """Return all devices of the run, in the order of the processes.

    `jax.make_mesh` would order them by the interconnect, but the rows of a batch must
    not depend on how the hosts are connected.

    Args:
      height_devices: number of neighbors in that order over which the rows of each
        image are sharded.

    Raises:
      ValueError: if the devices of a process do not divide into such groups.
      cli.NoDevice: if there are none.
    """
    check_devices()
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    if jax.local_device_count() % height_devices:
        raise ValueError(
            f"`run.height_devices` (={height_devices}) must divide the "
            f"{jax.local_device_count()} devices of a process; 1 shards no image"
        )
    return grid(devices, height_devices)


def local() -> Parallel:
    """Return the devices of this process, for computations without the others."""
    check_devices()
    return grid(sorted(jax.local_devices(), key=lambda d: d.id), 1)


def grid(devices: list[Any], height_devices: int) -> Parallel:
    """Return devices in the given order, in groups of `height_devices` neighbors."""
    if height_devices == 1:
        return Parallel(Mesh(np.array(devices), ("data",), (AxisType.Auto,)))
    rows = np.array(devices).reshape(-1, height_devices)
    return Parallel(Mesh(rows, ("data", "height"), (AxisType.Auto,) * 2))


def first_local_device() -> SingleDeviceSharding:
    """Return the sharding of arrays on the first device of this process."""
    check_devices()
    return SingleDeviceSharding(jax.local_devices()[0])


def describe_devices() -> dict[str, Any]:
    """Return the kind and numbers of the run's devices, for records."""
    devices = jax.devices()
    return {
        "device_kind": devices[0].device_kind,
        "device_count": len(devices),
        "process_count": jax.process_count(),
    }


@functools.cache
def _gather(replicated: NamedSharding) -> Callable[[Any], Any]:
    return jax.jit(lambda tree: tree, out_shardings=replicated)
