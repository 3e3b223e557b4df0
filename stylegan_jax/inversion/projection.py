"""Projection: find the latents whose images are nearest to given images.

    from stylegan_jax.inversion.projection import Projector, Settings, project

    projector = Projector(stylegan_jax.load("smileys64"), Settings(noise="const"))
    for found in project(projector, images):  # images [N,H,W,C] uint8
        found.ws, found.image, found.distance

A batch has a fixed number of rows. When the run in a row ends, the next run of the
queue takes its place, so early stopping saves time without recompiling.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
section 5 and appendix D; for W+, Abdal et al. 2019, "Image2StyleGAN".
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from stylegan_jax.inversion import steps
from stylegan_jax.inversion.projector import Projector
from stylegan_jax.inversion.schedule import Settings
from stylegan_jax.inversion.targets import check_targets
from stylegan_jax.runtime.image_io import as_floats, to_uint8

__all__ = ["Projection", "Projector", "Session", "Settings", "project"]

Progress = Callable[[str, int, int], None]  # (activity, steps done, their total)


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """The result for one target.

    Attributes:
      ws: [L,W] float32.
      maps: noise maps [H,W,1] by path in the collection "noise"; empty unless they were
        optimized.
      image: [H,W,C] uint8.
      distance: distance of the image to the target.
      rms: root mean square difference of the pixels to the target, in [-1,1].
      start_distance: distance of the image from which the run started.
      steps: steps of the run.
      runs: final distances of all runs for the target, in order.
      path: [n,1 or L,W], w after every `steps.CHUNK` steps; None unless recorded.
      view: [3], x and y of the translation, in image widths and heights, and the
        rotation in degrees counterclockwise; None unless they were fitted.
    """

    ws: np.ndarray
    maps: dict[str, np.ndarray]
    image: np.ndarray
    distance: float
    rms: float
    start_distance: float
    steps: int
    runs: tuple[float, ...]
    path: np.ndarray | None
    view: np.ndarray | None = None


@dataclasses.dataclass(eq=False)
class Run:
    """One optimization for a target.

    Attributes:
      target: index of the target.
      number: index of the run among those of its target.
      row: its row of `steps.Runs` as a tree of NumPy arrays; None if it has not begun.
      start_distance: see `Projection`.
      path: w [1 or L,W] after every `steps.CHUNK` steps.
    """

    target: int
    number: int
    row: Any = None
    start_distance: float = float("nan")
    path: list[np.ndarray] = dataclasses.field(default_factory=list)


def project(
    projector: Projector, targets: np.ndarray, progress: Progress | None = None
) -> list[Projection]:
    """Project images.

    Args:
      projector: the network, the distance and the settings.
      targets: [N,H,W,C] uint8, of the network's size and channels.
      progress: called after every few steps, such as a `ProgressBar`.

    Returns:
      A projection for each target.

    Raises:
      ValueError: the targets do not fit the network.
    """
    session = Session(projector, targets)
    found: dict[int, Projection] = {}
    while not session.finished:
        found |= session.advance()
        if progress is not None:
            progress(session.activity, session.steps_done, session.steps)
    return [found[i] for i in range(len(targets))]


class Session:
    """A projection in progress.

        while not session.finished:
            for index, projection in session.advance().items(): ...

    Attributes:
      steps: total steps of all runs.
      done: indices of the targets whose results `advance` has returned.
      waiting: runs that have no row yet: new ones, and those of a restored session.
      best: for each target, the projection of its best run so far, and the distances of
        its finished runs by number.
    """

    def __init__(
        self, projector: Projector, targets: np.ndarray, record_path: bool = False
    ):
        """Queue all runs.

        Args:
          projector: the projector.
          targets: [N,H,W,C] uint8, of the network's size and channels.
          record_path: keep w after every `steps.CHUNK` steps, for `Projection.path`.

        Raises:
          ValueError: the targets do not fit the network.
        """
        targets = np.asarray(targets)
        check_targets(targets, projector.size, projector.channels)
        self.projector, self.targets, self._record = projector, targets, record_path
        self._rows = rows = projector.rows(len(targets) * projector.settings.restarts)
        restarts = projector.settings.restarts
        self.steps = len(targets) * restarts * projector.settings.steps
        self.done: set[int] = set()
        self.best: dict[int, tuple[Projection, dict[int, float]]] = {}
        self.waiting = collections.deque(
            Run(target, number)
            for target in range(len(targets))
            for number in range(restarts)
        )
        self.running: list[Run | None] = [None] * rows
        self._starts: dict[int, np.ndarray] | None = None
        self._runs: steps.Runs | None = None
        self._description: Any = None
        # Step and distance of each row, on the host.
        self._steps, self._distances = np.zeros(rows, int), np.zeros(rows)

    @property
    def finished(self) -> bool:
        """True once all targets are done."""
        return len(self.done) == len(self.targets)

    @property
    def steps_done(self) -> int:
        """Steps done; a run that stopped early counts as complete."""
        restarts, most = self.projector.settings.restarts, self.projector.settings.steps
        complete = len(self.done) * restarts
        complete += sum(len(ends) for _, ends in self.best.values())
        under_way = [int(self._steps[i]) for i in self._occupied()]
        under_way += [int(run.row.step) for run in self.waiting if run.row is not None]
        return complete * most + sum(under_way)

    @property
    def activity(self) -> str:
        """Text for a progress bar, with the mean distance of the runs under way."""
        found = [self._distances[i] for i in self._occupied()]
        mean = f", mean distance {np.mean(found):.4f}" if found else ""
        return f"steps of projection{mean}"

    def current(self, row: int) -> tuple[np.ndarray, float]:
        """Return the ws [L,W] of a row of the batch, and its distance."""
        w = np.asarray(self._runs.point["w"])[row]
        layers = self.projector.network.generator.num_ws
        ws = np.array(np.broadcast_to(w, (layers, w.shape[-1])))
        return ws, float(self._distances[row])

    def advance(self) -> dict[int, Projection]:
        """Advance a batch by `steps.CHUNK` steps.

        Returns:
          The projections of the targets that these steps completed, by index.
        """
        self._fill()
        self._runs = self.projector.advance(self._description, self._runs)
        active = np.asarray(self._runs.active)
        self._steps = np.asarray(self._runs.step)
        self._distances = np.asarray(self._runs.distance)
        if self._record:
            w = np.asarray(self._runs.point["w"])
            for i in self._occupied():
                self.running[i].path.append(w[i])
        ended = [i for i in self._occupied() if not active[i]]
        return self._collect(ended) if ended else {}

    def frames(self, target: np.ndarray, found: Projection) -> Iterator[np.ndarray]:
        """Yield the images [H,W,C] uint8 of a recorded path.

        All frames have the final noise maps and view.

        Args:
          target: [H,W,C] uint8.
          found: its projection, with a path.
        """
        description = self.projector.describe(np.stack([target] * self._rows))
        maps = {
            name: np.broadcast_to(x, (self._rows, *x.shape))
            for name, x in found.maps.items()
        }
        rest: dict[str, Any] = {"noise": maps}
        if found.view is not None:
            view = found.view / steps.VIEW_UNITS
            rest["view"] = np.broadcast_to(view, (self._rows, 3))
        for begin in range(0, len(found.path), self._rows):
            w = found.path[begin : begin + self._rows]
            missing = self._rows - len(w)
            w = np.concatenate([w, np.repeat(w[-1:], missing, axis=0)])
            point = self.projector.put({"w": w, **rest})
            images, _ = self.projector.draw(description, point)
            yield from to_uint8(images[: self._rows - missing])

    def rows(self) -> list[Run]:
        """Return the runs in progress with their rows, to be saved for `restore`."""
        under_way = [run for run in self.waiting if run.row is not None]
        if self._runs is not None:
            rows = self._fetched()
            for i in self._occupied():
                under_way.append(dataclasses.replace(self.running[i], row=rows[i]))
        return under_way

    def restore(
        self,
        done: set[int],
        best: dict[int, tuple[Projection, dict[int, float]]],
        under_way: list[Run],
    ) -> None:
        """Restore runs from a file; call this before the first `advance`."""
        self.done, self.best = done, best
        begun = {(run.target, run.number) for run in under_way}
        begun |= {(target, n) for target, (_, ends) in best.items() for n in ends}
        new = [
            run
            for run in self.waiting
            if run.target not in done and (run.target, run.number) not in begun
        ]
        self.waiting = collections.deque([*under_way, *new])

    def _occupied(self) -> list[int]:
        return [i for i, run in enumerate(self.running) if run is not None]

    def _fetched(self) -> list[steps.Runs]:
        """Return the rows as NumPy arrays."""
        fetched = jax.tree.map(np.asarray, self._runs)
        return [
            jax.tree.map(lambda x, i=i: np.array(x[i]), fetched)
            for i in range(self._rows)
        ]

    def _fill(self) -> None:
        """Assign waiting runs to free rows."""
        free = [i for i, run in enumerate(self.running) if run is None]
        if not free or not self.waiting:
            return
        rows: list[steps.Runs | None] = [None] * self._rows
        if len(free) < self._rows:
            for i, row in enumerate(self._fetched()):
                rows[i] = None if i in free else row
        new = []
        for i in free:
            if self.waiting:
                self.running[i] = run = self.waiting.popleft()
                rows[i], run.row = self._begun(run), None
                if np.isnan(run.start_distance):
                    new.append(i)
        idle = next(row for row in rows if row is not None)
        idle = idle._replace(active=np.zeros((), bool))
        rows = [idle if row is None else row for row in rows]
        stacked = jax.tree.map(lambda *parts: np.stack(parts), *rows)
        self._runs = self.projector.put(stacked)
        shown = [self.targets[run.target if run else 0] for run in self.running]
        self._description = self.projector.describe(np.stack(shown))
        if new:
            _, found = self.projector.draw(self._description, self._runs.point)
            for i in new:
                self.running[i].start_distance = float(found[i])

    def _begun(self, run: Run) -> steps.Runs:
        """Return the row of a run; create it for a run that has not begun."""
        if run.row is not None:
            return run.row
        projector = self.projector
        if self._starts is None:
            found = projector.starts(self.targets, self._rows)
            self._starts = dict(enumerate(found))
        w = self._starts[run.target][run.number]
        w = w if w.ndim == 2 else w[None]
        w = np.repeat(w[:1], projector.layers, axis=0) if len(w) == 1 else w
        w = w[: projector.layers].astype(np.float32)
        point = {"w": w, "noise": projector.maps(run.number), **projector.view()}
        zeros = jax.tree.map(np.zeros_like, point)
        return steps.Runs(
            point,
            zeros,
            zeros,
            np.zeros((), np.int32),
            np.ones((), bool),
            np.full((), np.inf, np.float32),
            np.int32(run.number),
        )

    def _collect(self, ended: list[int]) -> dict[int, Projection]:
        """Free the rows of ended runs; return the targets that are complete."""
        images, distances = self.projector.draw(self._description, self._runs.point)
        rows, results = self._fetched(), {}
        for i in ended:
            run, self.running[i] = self.running[i], None
            found = self._projection(run, rows[i], images[i], distances[i])
            before, ends = self.best.get(run.target, (found, {}))
            ends = {**ends, run.number: found.distance}
            # Of equal runs, the first number wins, whatever order they end in.
            if (found.distance, run.number) < min(
                ((d, n) for n, d in ends.items() if n != run.number),
                default=(np.inf, 0),
            ):
                before = found
            self.best[run.target] = before, ends
            if len(ends) == self.projector.settings.restarts:
                best, ends = self.best.pop(run.target)
                results[run.target] = dataclasses.replace(
                    best, runs=tuple(ends[n] for n in sorted(ends))
                )
                self.done.add(run.target)
        return results

    def _projection(
        self, run: Run, row: steps.Runs, image: np.ndarray, distance: np.ndarray
    ) -> Projection:
        difference = np.clip(image, -1, 1) - as_floats(self.targets[run.target])
        layers = self.projector.network.generator.num_ws
        w, view = row.point["w"], row.point.get("view")
        return Projection(
            ws=np.array(np.broadcast_to(w, (layers, w.shape[-1]))),
            maps=row.point["noise"],
            image=to_uint8(image),
            distance=float(distance),
            rms=float(np.sqrt(np.mean(np.square(difference)))),
            start_distance=run.start_distance,
            steps=int(row.step),
            runs=(),
            path=np.stack(run.path) if self._record else None,
            view=None if view is None else view * steps.VIEW_UNITS,
        )
