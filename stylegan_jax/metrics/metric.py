"""The types of the registry's entries, which declare the properties of each metric."""

import dataclasses
from collections.abc import Callable
from dataclasses import KW_ONLY

from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.statistics import Statistic, Statistics


@dataclasses.dataclass(frozen=True)
class Metric:
    """Properties that metrics of image sets and metrics of generators share.

    Attributes:
      name: name by which users request it.
      help: one line of explanation.
      images: default number of generated images; 50,000 in most papers.
      numbers: names of the numbers that it returns; (name,) by default.
      higher_is_better: True if larger numbers are better.
      min_pixels: minimum length of the shorter side of the images.
      check_size: raises ValueError for a (height, width) that it cannot measure.
    """

    name: str
    help: str
    _: KW_ONLY
    images: int = 50_000
    numbers: tuple[str, ...] = ()
    higher_is_better: bool = False
    min_pixels: int = 1
    check_size: Callable[[int, int], object] | None = None

    def __post_init__(self):
        """Use the metric's name for its only number."""
        object.__setattr__(self, "numbers", self.numbers or (self.name,))


@dataclasses.dataclass(frozen=True)
class SetMetric(Metric):
    """A metric of a set of images, usually compared with a set of real images.

    Attributes:
      measure: (statistics of the reals or None, of the generated images) -> values,
        one per name in `numbers`.
      statistics: the statistics of each set that it is computed from.
      uses_reals: False if it looks at generated images only.
      needs_reals: False if reals are optional, for comparison only.
      all_reals: True to use every real image instead of as many as are generated.
      equal_counts: True if both sets must have the same number of images.
      per_class: True if it compares the two sets class by class.
      min_images: smallest number of images of each set, and of each class if
        `per_class`.
    """

    measure: Callable[[Statistics | None, Statistics], list[MetricValue]]
    statistics: tuple[Statistic, ...]
    _: KW_ONLY
    uses_reals: bool = True
    needs_reals: bool = True
    all_reals: bool = False
    equal_counts: bool = False
    per_class: bool = False
    min_images: int = 2

    @property
    def network(self) -> str | None:
        """The field of `Networks` that its statistics use, or None."""
        return next((s.network for s in self.statistics if s.network), None)


@dataclasses.dataclass(frozen=True)
class GeneratorMetric(Metric):
    """A metric that needs more from a generator than images.

    Attributes:
      measure: (EvalSpec, EvalContext, number of images, name of the metric) -> values,
        one per name in `numbers`.
      network: the field of `Networks` that it uses, or None.
      truncates: False if it ignores truncation and the noise mode.
      needs_classifier: True if it needs a classifier of attributes.
      check_generator: raises ValueError for a generator that it cannot measure.
    """

    measure: Callable[..., list[MetricValue]]
    _: KW_ONLY
    network: str | None = None
    truncates: bool = True
    needs_classifier: bool = False
    check_generator: Callable[..., object] | None = None
