"""Declaration of one setting: its default, documentation, unit and allowed values.

The files of `sections/` declare every setting with `setting`; `field_errors` checks the
values of an experiment against the declarations.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

FLOAT32_MAX = 3.4028234663852886e38
ByResolution = tuple[tuple[int, float], ...]


class Rule(NamedTuple):
    """A condition on the value of one setting.

    Attributes:
      text: the condition as it follows "must" in an error message.
      holds: returns True for the values that meet the condition.
    """

    text: str
    holds: Callable[[Any], bool]


def setting(
    default: Any,
    doc: str,
    *,
    unit: str | None = None,
    choices: tuple[Any, ...] | None = None,
    rule: Rule | None = None,
) -> Any:
    """Declare a field of a section.

    Args:
      default: the value of a configuration that does not name this setting.
      doc: one or two sentences for the table of settings in the documentation.
      unit: the unit of the value.
      choices: all allowed values, if they are few.
      rule: the condition on the value; None allows every value of the field's type. The
        value None of an optional field is always allowed.

    Returns:
      A `dataclasses.field` whose metadata holds the other arguments.
    """
    if choices is not None:
        rule = Rule(f"be one of {choices}", choices.__contains__)
    metadata = {"doc": doc, "unit": unit, "choices": choices, "rule": rule}
    return dataclasses.field(default=default, metadata=metadata)


def fields(experiment: Any) -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """Iterate over all settings as (`section.field`, declaration, value)."""
    for section in dataclasses.fields(experiment):
        values = getattr(experiment, section.name)
        for field in dataclasses.fields(values):
            yield f"{section.name}.{field.name}", field, getattr(values, field.name)


def field_errors(experiment: Any) -> Iterator[str]:
    """Iterate over the errors of single settings, regardless of all others."""
    for name, field, value in fields(experiment):
        rule = field.metadata["rule"]
        if value is None:
            continue
        if isinstance(value, float) and not _is_finite(value):
            yield f"`{name}` (={value}) must be finite"
        elif rule is not None and not rule.holds(value):
            yield f"`{name}` (={value!r}) must {rule.text}"


def is_resolution(value: int) -> bool:
    """Return True if `value` is a side length that the networks support."""
    return 4 <= value <= 1024 and value & (value - 1) == 0


def check_resolution(value: int, name: str) -> None:
    """Raise ValueError unless the networks support the resolution called `name`."""
    if not is_resolution(value):
        raise ValueError(f"{name} (={value}) must {RESOLUTION.text}")


def _is_by_resolution(pairs: ByResolution) -> bool:
    values = [value for _, value in pairs]
    return (
        len(dict(pairs)) == len(pairs)
        and all(is_resolution(resolution) for resolution, _ in pairs)
        and all(value > 0 and _is_finite(value) for value in values)
    )


def _is_finite(value: float) -> bool:
    """Return True for numbers that are finite in float32, the type of the devices."""
    return abs(value) <= FLOAT32_MAX  # False for NaN, too


def _is_filter(taps: tuple[int, ...]) -> bool:
    return len(taps) >= 2 and sum(taps) > 0


def _are_relative_stds(stds: tuple[float, ...]) -> bool:
    texts = {f"{std:g}" for std in stds}  # the names of the averages
    return len(texts) == len(stds) >= 2 and all(0 < std <= 0.25 for std in stds)


POSITIVE = Rule("be positive", lambda value: value > 0)
NON_NEGATIVE = Rule("not be negative", lambda value: value >= 0)
FRACTION = Rule("lie in [0, 1]", lambda value: 0 <= value <= 1)
DECAY = Rule("be at least 0 and below 1", lambda value: 0 <= value < 1)
SEED = Rule("be at least 0 and below 2^32", lambda value: 0 <= value < 2**32)
AT_LEAST_ONE_IMAGE = Rule(
    "be at least 0.001, which is one image", lambda kimg: kimg * 1000 >= 1
)
RESOLUTION = Rule("be a power of two from 4 to 1024", is_resolution)
BASE_SIZE = Rule(
    "be two numbers from 1 to 64", lambda size: all(1 <= n <= 64 for n in size)
)
RELATIVE_STDS = Rule(
    "be (), or two or more distinct numbers above 0 and at most 0.25",
    lambda stds: not stds or _are_relative_stds(stds),
)
FILTER = Rule("have two or more taps with a positive sum", _is_filter)
FILTER_OR_NONE = Rule(
    "have a positive sum, or be () for no filter",
    lambda taps: not taps or sum(taps) > 0,
)
PAIRS = "pairs (resolution, value), e.g. ((8, 256), (16, 128))"
BY_RESOLUTION = Rule(
    f"be {PAIRS}, with distinct powers of two from 4 to 1024 and positive values",
    _is_by_resolution,
)
WHOLE_BY_RESOLUTION = Rule(
    f"be {PAIRS}, with distinct powers of two from 4 to 1024 and positive whole values",
    lambda pairs: _is_by_resolution(pairs) and all(n % 1 == 0 for _, n in pairs),
)
