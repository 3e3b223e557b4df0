"""Schedule of a training run: its stages of progressive growing, and learning rate.

The level of detail (lod) counts down from log2(full / initial) to 0. Its integer part
gives the resolution, its fractional part is how far that resolution is still faded out.

Reference: Karras et al. 2018, "Progressive Growing of GANs", section 2 and
appendix A; Karras et al. 2019, appendix C.
"""

import dataclasses
import math
from collections.abc import Callable

from stylegan_jax.config import Experiment, by_resolution, image_size
from stylegan_jax.models import Generator
from stylegan_jax.runtime.messages import sides


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a training run at one resolution, whose programs are compiled once.

    A run of a network that does not grow has one stage.

    Attributes:
      index: position in the run.
      resolution: resolution R of the networks.
      size: (H, W) of the images in pixels.
      fading: True while the resolution is being faded in.
      batch_size: images per step, over all devices.
      steps_per_round: steps between two evaluations of the schedule.
      start_images: value of the clock, in images seen, where the stage starts.
      end_images: value of the clock where it ends. A stage lasts whole rounds, so this
        lies a little past the nominal value.
      lod: level of detail as a function of the clock.
    """

    index: int
    resolution: int
    size: tuple[int, int]
    fading: bool
    batch_size: int
    steps_per_round: int
    start_images: int
    end_images: int
    lod: Callable[[int], float] = dataclasses.field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """Width by height, for example "16x16 fading in"."""
        return sides(self.size) + " fading in" * self.fading

    def fade(self, images_seen: int) -> float:
        """Return the weight of this resolution against the one below, in [0,1]."""
        lod, own = self.lod(images_seen), math.floor(self.lod(self.start_images))
        if not self.fading or lod <= own:
            return 1.0
        return 1.0 - (lod - own)


def level_of_detail(e: Experiment, images_seen: int) -> float:
    """Return the official level of detail after `images_seen` images."""
    if not e.model.growing:
        return 0.0
    kimg, t = images_seen / 1000.0, e.training
    phase_kimg = t.stage_kimg + t.fade_kimg
    phase = math.floor(kimg / phase_kimg)
    lod = math.log2(e.data.resolution // t.initial_resolution) - phase
    if t.fade_kimg > 0:
        lod -= max(kimg - phase * phase_kimg - t.stage_kimg, 0.0) / t.fade_kimg
    return max(lod, 0.0)


def build_stages(e: Experiment) -> list[Stage]:
    """Return the stages of a run, in order.

    The schedule is evaluated once per round, as in the official code: a stage lasts
    whole rounds, and the resolution switches when the fade starts.
    """

    def lod(images_seen: int) -> float:
        return level_of_detail(e, images_seen)

    total = round(e.training.total_kimg * 1000)
    out: list[Stage] = []
    start = 0
    while start < total:
        here = _bracket(lod(start))
        resolution = e.data.resolution >> here[0]
        batch_size = int(
            by_resolution(
                e.training.batch_size_by_resolution, resolution, e.training.batch_size
            )
        )
        images = batch_size * e.training.steps_per_round
        rounds = _first(
            lambda n, s=start, i=images, h=here: _bracket(lod(s + n * i)) != h,
            limit=math.ceil((total - start) / images),
        )
        end = start + rounds * images
        out.append(
            Stage(
                index=len(out),
                resolution=resolution,
                size=image_size(e.data.base_size, resolution),
                fading=here[0] != here[1],
                batch_size=batch_size,
                steps_per_round=e.training.steps_per_round,
                start_images=start,
                end_images=end,
                lod=lod,
            )
        )
        start = end
    return out


def learning_rate(e: Experiment, stage: Stage, images_seen: int) -> float:
    """Return the learning rate of the next round, common to both networks.

    It is computed in double precision on the host, as in the official code.
    """
    t = e.training
    rate = by_resolution(
        t.learning_rate_by_resolution, stage.resolution, t.learning_rate
    )
    if t.learning_rate_rampup_kimg > 0:
        rate *= min(images_seen / 1000.0 / t.learning_rate_rampup_kimg, 1.0)
    return rate


def _bracket(lod: float) -> tuple[int, int]:
    return math.floor(lod), math.ceil(lod)


def _first(condition: Callable[[int], bool], limit: int) -> int:
    """Return the smallest n in [1, limit] with condition(n), by bisection.

    A condition that holds for n must hold for n + 1 too.
    """
    low, high = 1, limit
    while low < high:
        middle = (low + high) // 2
        if condition(middle):
            high = middle
        else:
            low = middle + 1
    return high


def stage_cost(generator: Generator, resolution: int) -> float:
    """Return the relative cost of an image: pixels times channels^2 of all layers."""
    sizes = [r for r in generator.resolutions if r <= resolution]
    return float(sum((r * generator.channels(r)) ** 2 for r in sizes))
