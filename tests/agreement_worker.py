"""Worker of test_agreement.py: process 1 alone has a reason to decide otherwise.

python -m tests.agreement_worker PORT PROCESS DIRECTORY

Prints the outcome of each decision as JSON.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax import workdir
from stylegan_jax.checkpoint import CheckpointError, checkpoints, stored
from stylegan_jax.metrics import evaluation, real_cache
from stylegan_jax.metrics.statistics import POOL
from stylegan_jax.runtime import parallel, processes
from stylegan_jax.training import guard, memory
from stylegan_jax.training.progress import Progress
from tests.training.test_memory import FakeProgram

HEARTBEAT_SECONDS = 30


class Decisions:
    """The decisions, each as a method that returns its outcome in this process."""

    def __init__(self, process: int, directory: Path):
        self._process, self._directory = process, directory
        self._here = parallel.data_parallel()
        self._opened = checkpoints.Checkpoints(directory / "x", 3, lambda text: None)
        self._item = {"x": self._here.replicate(np.arange(4, dtype=np.float32))}
        for step in (1, 2):
            self._opened.save(step, {"item": self._item}, {})
        self._opened.wait()

    def stop(self) -> bool:
        return self._here.any_process(self._process == 1)()

    def differing_facts(self) -> str:
        facts = {"data": str(self._process)}
        return error_of(ValueError, lambda: self._here.check_agreement(facts))

    def newest_checkpoint(self) -> str:
        seen = 2 - self._process
        return error_of(
            CheckpointError, lambda: workdir.check_shared("run", seen, self._here)
        )

    def checkpoints_on_disk(self) -> str:
        steps = [[1, 2], [2]][self._process]
        with mock.patch.object(self._opened._manager, "all_steps", lambda: steps):
            return error_of(CheckpointError, self._restore)

    def damaged_checkpoint(self) -> int:
        """One process reads, as the array it holds itself, other bytes than saved."""
        real, calls = stored.signature, []

        def signature(arrays):
            calls.append(arrays)
            damaged = self._process == 1 and len(calls) == 1
            change = {"x": jnp.ones(4)} if damaged else {}
            found = real(arrays)
            return found | {k: [*found[k][:2], 0] for k in change}

        with mock.patch.object(stored, "signature", signature):
            return self._restore()

    def directory_that_cannot_be_written(self) -> str:
        def fail():
            if self._process == 1:
                raise OSError("the mount is gone")

        with mock.patch.object(self._opened, "_prepare_to_write", fail):
            return error_of(
                CheckpointError, lambda: self._opened.save(3, {"item": self._item}, {})
            )

    def mount_that_comes_back(self) -> str:
        """Process 0, which creates the directory, sees it only at the second save."""
        mount, disk = (self._directory / f"{name}{self._process}" for name in "md")
        mount.symlink_to(disk if self._process == 0 else self._directory)
        opened = checkpoints.Checkpoints(mount / "run", 1, lambda text: None)
        save = lambda: opened.save(1, {"item": self._item}, {})  # noqa: E731
        problem = error_of(CheckpointError, save)
        mount.unlink()
        mount.symlink_to(self._directory)
        save()
        newest = opened.latest_step()
        opened.close()
        return f"{newest} after {problem}"

    def rounds_for_the_memory(self) -> list:
        return self._fit(lambda rounds: (1 + self._process) * 1000 / rounds)

    def compiler_out_of_memory(self) -> list:
        def temporary(rounds):
            if self._process == 1 and rounds < 4:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of HBM")
            return 1000 / rounds

        return self._fit(temporary)

    def memory_of_the_devices(self) -> float | None:
        stats = {"bytes_limit": 100 - 50 * self._process}
        device = SimpleNamespace(memory_stats=lambda: stats)
        own_jax = SimpleNamespace(local_devices=lambda: [device])
        with mock.patch.object(parallel, "jax", own_jax):
            return self._here.device_memory()

    def cached_statistics(self) -> list[str]:
        """The cache of process 0 has what that of process 1 lacks."""
        cache = SimpleNamespace(
            load=lambda _: {"pool": 1} if self._process == 0 else None
        )
        context = SimpleNamespace(cache=cache, devices=self._here, networks=None)
        spec = SimpleNamespace(reals=SimpleNamespace(present_classes={}), seed=0)
        collected = []

        def collect(reals, missing, *_):
            collected.extend(s.name for found in missing.values() for s in found)
            return {}

        with (
            mock.patch.object(evaluation, "collect_statistics", collect),
            mock.patch.object(real_cache, "describe", lambda *_: {}),
        ):
            evaluation.collect_real_statistics(spec, context, {8: {POOL}})
        return collected

    def data_set_to_prepare(self) -> str:
        """Both would write it, and one would find the other's files unfinished."""
        path = self._directory / "prepared"

        def write():
            if not path.exists():
                path.write_text(f"unfinished by {self._process}")
                time.sleep(1.0)
                path.write_text(f"by {self._process}")
            return path.read_text()

        return processes.in_turns("test", write)

    def collapse(self) -> list:
        """Process 1 alone sees it; both go back from checkpoint 2 to 1.

        Before it, process 1 alone doubts the variety, so that none has found it yet.
        """
        directory = self._directory / "collapse"
        opened = checkpoints.Checkpoints(directory / "x", 3, lambda text: None)
        for step in (1, 2):
            opened.save(step, {"item": self._item}, {})
        found = guard.CollapseGuard("rollback", directory, opened, self._here)
        progress = Progress(8, images_seen=1)
        logger = SimpleNamespace(warning=lambda *_: None)
        doubted = guard.EvalResult(None, None, "", clearly_varied=self._process == 0)
        found.has_collapsed(progress, {"metrics": doubted}, logger)
        assert progress.collapse_signs == {} and progress.varied_images is None
        for collapsed in (False, *[self._process == 1] * guard.PATIENCE):
            result = guard.EvalResult(None, None, "COLLAPSE?" if collapsed else "")
            rolls_back = found.has_collapsed(progress, {"metrics": result}, logger)
            progress.images_seen += 1
        state = {"x": self._here.replicate(np.zeros(3, np.float32))}
        step = found.roll_back(state, progress, logger)
        names = sorted(path.name for path in (directory / "x").iterdir())
        left = [opened.latest_step(), *names[1:]]
        opened.close()
        again = guard.CollapseGuard("continue", directory, opened, self._here)
        return [rolls_back, step, left, again.learning_rate_factor]

    def record_of_a_rollback(self) -> str:
        """Each process would read another record."""
        directory = self._directory / "record"
        directory.mkdir(exist_ok=True)
        (directory / guard.FILE).write_text("{}")

        def read(path, remedy):
            raise ValueError(f"of process {self._process}")

        with mock.patch.object(guard.json_files, "read_object", read):
            return error_of(
                ValueError,
                lambda: guard.CollapseGuard("stop", directory, None, self._here),
            )

    def _restore(self) -> int:
        return self._opened.restore({"item": self._item})[0]

    def _fit(self, temporary: Callable[[int], float]) -> list:
        programs, fitted = memory.fit(
            lambda name, rounds: FakeProgram(temporary(rounds)),
            ["g_main"],
            [1, 2, 4, 8],
            700,
            lambda name, rounds, need: memory.greatest_need(f"{name}/{rounds}", need),
        )
        assert fitted.need.temporary < math.inf
        return [fitted.rounds, fitted.need.temporary, *programs]


def error_of(kind: type[Exception], action: Callable[[], Any]) -> str:
    """Return the message of the error that an action must raise."""
    try:
        action()
    except kind as error:
        return f"{kind.__name__}: {error}"
    return "no error"


def names() -> list[str]:
    return [n for n in vars(Decisions) if not n.startswith("_")]


def worker(port: str, process: int, directory: Path) -> None:
    with processes.ending_together():
        processes.initialize(f"127.0.0.1:{port}", 2, process, HEARTBEAT_SECONDS)
        decisions = Decisions(process, directory)
        print(json.dumps({name: getattr(decisions, name)() for name in names()}))
        processes.finish()


if __name__ == "__main__":
    worker(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
