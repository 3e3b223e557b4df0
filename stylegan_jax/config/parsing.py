"""From a configuration to an experiment, and back."""

import dataclasses
import difflib
import json
import types
import typing
from typing import Any

from etils import epath
from ml_collections import ConfigDict, config_dict

from stylegan_jax.config.cross_field import misfits
from stylegan_jax.config.schema import BY_RESOLUTION_HELP, ByResolution, Experiment
from stylegan_jax.config.values import wrong_values


class ConfigError(ValueError):
    """The configuration is not usable; the message lists every problem at once."""


def base() -> ConfigDict:
    """The default experiment as a ConfigDict, for a config file to change."""
    return _to_config_dict(Experiment())


def parse(config: ConfigDict | dict[str, Any]) -> Experiment:
    """Turns a configuration into a validated, read-only experiment.

    Args:
      config: what `get_config()` returned, or a dict read from `config.json`.

    Returns:
      The experiment.

    Raises:
      ConfigError: unknown keys, wrong types or values that do not fit together;
        the message lists all of them.
    """
    if isinstance(config, ConfigDict):
        config = config.to_dict()
    problems: list[str] = []
    experiment = _build(Experiment, config, "", problems)
    if not problems:
        problems = validate(experiment)
    if problems:
        raise ConfigError(
            "The configuration cannot be used:\n  " + "\n  ".join(problems)
        )
    return experiment


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested plain dicts, tuples as lists (as JSON has them)."""
    return json.loads(json.dumps(dataclasses.asdict(experiment)))


def load(path: epath.PathLike) -> Experiment:
    """Reads and validates a `config.json` written by a run."""
    return parse(json.loads(epath.Path(path).read_text()))


def unknown_key(name: str, allowed: typing.Iterable[str]) -> str:
    """An error text for an unknown config key that names the closest valid ones."""
    *parents, leaf = name.split(".")
    allowed = list(allowed)
    close = difflib.get_close_matches(leaf, allowed, n=1, cutoff=0.5)
    guess = f"; did you mean `{'.'.join([*parents, close[0]])}`?" if close else ""
    return f"unknown config key `{name}`{guess} (allowed here: {', '.join(allowed)})"


def validate(e: Experiment) -> list[str]:
    """All problems of an experiment whose types are right; empty when it is fine.

    Values that are wrong by themselves are reported first, then, when there are none,
    those that do not fit together.
    """
    return list(wrong_values(e)) or list(misfits(e))


def _to_config_dict(section: Any) -> ConfigDict:
    out = ConfigDict()
    hints = typing.get_type_hints(type(section))
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            out[field.name] = _to_config_dict(value)
        elif isinstance(hints[field.name], types.UnionType):
            kind = typing.get_args(hints[field.name])[0]
            out[field.name] = config_dict.placeholder(kind)
            out[field.name] = value
        else:
            out[field.name] = value
    return out.lock()


def _build(cls: type, values: Any, prefix: str, problems: list[str]) -> Any:
    """An instance of the dataclass `cls`; appends to `problems` what does not fit."""
    fields = {f.name: f for f in dataclasses.fields(cls)}
    if not isinstance(values, dict):
        problems.append(f"`{prefix[:-1]}` must be a section with keys {list(fields)}")
        return cls()
    hints = typing.get_type_hints(cls)
    kwargs = {}
    for name, value in values.items():
        if name not in fields:
            problems.append(unknown_key(prefix + name, fields))
        elif dataclasses.is_dataclass(hints[name]):
            kwargs[name] = _build(hints[name], value, f"{prefix}{name}.", problems)
        else:
            kwargs[name] = _coerce(hints[name], value, prefix + name, problems)
    return cls(**kwargs)


def _coerce(hint: Any, value: Any, name: str, problems: list[str]) -> Any:
    """`value` as the field's type; ints serve as floats and lists as tuples."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return None if value is None else _coerce(args[0], value, name, problems)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is tuple and isinstance(value, (list, tuple)):
        if args[-1] is Ellipsis:
            return tuple(_coerce(args[0], v, name, problems) for v in value)
        if len(value) == len(args):
            return tuple(
                _coerce(a, v, name, problems) for a, v in zip(args, value, strict=True)
            )
    elif isinstance(value, origin or hint) and not (
        hint is int and isinstance(value, bool)
    ):
        return value
    wanted = getattr(hint, "__name__", str(hint))
    if hint == ByResolution or hint == tuple[int, float]:
        wanted = BY_RESOLUTION_HELP
    problems.append(f"`{name}` (={value!r}) must be {wanted}")
    return value
