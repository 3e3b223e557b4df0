"""Conversion of configurations to experiments and back."""

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Callable, Collection
from typing import Any

from etils import epath
from ml_collections import ConfigDict, config_dict

from stylegan_jax.config.cross_field import cross_field_errors
from stylegan_jax.config.schema import ALL_RESOLUTIONS, Experiment
from stylegan_jax.config.setting import PAIRS, ByResolution, field_errors
from stylegan_jax.runtime import json_files
from stylegan_jax.runtime.messages import lines, listed

REMEDY = "restore it from a backup, or use another run"


class ConfigError(ValueError):
    """The configuration cannot be used; the message lists all problems."""


def base() -> ConfigDict:
    """Return the default experiment as a ConfigDict, for a config file to change."""
    return _to_config_dict(Experiment())


def parse(config: ConfigDict | dict[str, Any]) -> Experiment:
    """Convert a configuration to a validated, read-only experiment.

    Args:
      config: the result of `get_config()`, or a dict read from `config.json`.

    Returns:
      The experiment.

    Raises:
      ConfigError: the configuration has unknown keys, values of the wrong type, values
        that are not allowed, or contradictory values. The message lists all of them.
    """
    if isinstance(config, ConfigDict):
        config = config.to_dict()
    problems: list[str] = []
    experiment = _build(Experiment, config, "", problems)
    if not problems:
        problems = validate(experiment)
    if problems:
        raise ConfigError("the configuration cannot be used:" + lines(problems))
    return experiment


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment as nested dicts, with lists for tuples as in JSON."""
    return json.loads(json.dumps(dataclasses.asdict(experiment)))


def load(
    path: epath.PathLike,
    ignored: Collection[str] = (),
    on_warning: Callable[[str], None] = print,
) -> Experiment:
    """Read and validate the `config.json` of a run.

    Args:
      path: the file.
      ignored: sections whose unknown settings are skipped, because the caller does not
        depend on them.
      on_warning: receives a warning that lists the skipped settings.

    Raises:
      ConfigError: the file is damaged, or `parse` rejects its content; the message
        names the file.
    """
    try:
        values = _as_when_written(json_files.read_object(path, REMEDY))
        values, unknown = _without_unknown(values, ignored)
        if unknown:
            on_warning(
                f"WARNING: {path} has settings that this version does not know, and "
                f"that have no effect here: {listed(unknown)}"
            )
        return parse(values)
    except ConfigError as error:
        raise ConfigError(
            f"{path} is damaged or was written by another version of this package: "
            f"{error}"
        ) from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def validate(experiment: Experiment) -> list[str]:
    """Return all errors in the values of an experiment of valid types.

    Combinations of settings are checked only if every single setting is valid.
    """
    return list(field_errors(experiment)) or list(cross_field_errors(experiment))


def key_error(path: str) -> str | None:
    """Return an error message if there is no section or setting of this dotted path."""
    section, parts = Experiment(), path.split(".")
    for depth, part in enumerate(parts):
        parent = "".join(f"{name}." for name in parts[:depth])
        if not dataclasses.is_dataclass(section):
            return f"`{parent[:-1]}` is a value; it has no key `{part}`"
        allowed = [field.name for field in dataclasses.fields(section)]
        if part not in allowed:
            close = difflib.get_close_matches(part, allowed, n=len(allowed), cutoff=0.5)
            hint = f"; did you mean `{parent}{close[0]}`?" if close else ""
            # The most similar names first, because a message lists only the first ones.
            others = [name for name in allowed if name not in close]
            return (
                f"unknown config key `{parent}{part}`{hint} (allowed here: "
                f"{listed([*close, *others])})"
            )
        section = getattr(section, part)
    return None


def _as_when_written(values: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a `config.json` with the meaning it had when written.

    Versions that wrote no `float32_precision` applied `dtype` to all activations of
    StyleGAN, whatever `low_precision_resolutions` said. Earlier versions ignored a
    `data.path` or `data.tfds_name` that the source does not read.
    """
    values = _without_ignored_data(values)
    model = values.get("model")
    if not isinstance(model, dict):
        return values
    written = ("float32_precision" in model, *map(model.get, ("family", "dtype")))
    if written != (False, "stylegan1", "bfloat16"):
        return values
    return values | {"model": model | {"low_precision_resolutions": ALL_RESOLUTIONS}}


def _without_ignored_data(values: dict[str, Any]) -> dict[str, Any]:
    data = values.get("data") if isinstance(values, dict) else None
    if not isinstance(data, dict):
        return values
    ignored = {"builtin": ("path", "tfds_name"), "tfds": ("path",)}
    unset = dict.fromkeys(ignored.get(data.get("source"), ()))
    return values | {"data": data | {k: None for k in unset if k in data}}


def _without_unknown(
    values: dict[str, Any], sections: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return values without the unknown settings of some sections, and their names."""
    known, unknown = {}, []
    for section, settings in values.items():
        if section in sections and isinstance(settings, dict):
            names = [name for name in settings if key_error(f"{section}.{name}")]
            unknown += [f"{section}.{name}" for name in names]
            settings = {k: v for k, v in settings.items() if k not in names}
        known[section] = settings
    return known, unknown


def _to_config_dict(section: Any) -> ConfigDict:
    out = ConfigDict()
    hints = typing.get_type_hints(type(section))
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            value = _to_config_dict(value)
        elif isinstance(hints[field.name], types.UnionType):
            # A placeholder keeps the type of an optional setting that is None.
            out[field.name] = config_dict.placeholder(
                typing.get_args(hints[field.name])[0]
            )
        out[field.name] = value
    return out.lock()


def _build(cls: type, values: Any, prefix: str, problems: list[str]) -> Any:
    """Return an instance of the dataclass `cls`; append its errors to `problems`."""
    hints = typing.get_type_hints(cls)
    if not isinstance(values, dict):
        problems.append(f"`{prefix[:-1]}` must be a section with keys {listed(hints)}")
        return cls()
    kwargs = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if name not in hints:
            problems.append(key_error(path))
        elif dataclasses.is_dataclass(hints[name]):
            kwargs[name] = _build(hints[name], value, f"{path}.", problems)
        else:
            try:
                kwargs[name] = _convert(value, hints[name])
            except (TypeError, ValueError, OverflowError):
                wanted = _type_name(hints[name])
                problems.append(f"`{path}` (={value!r}) must be {wanted}")
    return cls(**kwargs)


def _convert(value: Any, hint: Any) -> Any:
    """Return `value` as the annotated type; ints become floats, lists become tuples.

    A ConfigDict does not check enough: it accepts None for any type and bools for ints,
    and does not look into tuples.

    Raises:
      TypeError, ValueError, OverflowError: `value` does not have this type, length or
        range.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        # On a command line, None is a string.
        return None if value in (None, "None") else _convert(value, args[0])
    if origin is tuple and isinstance(value, list | tuple):
        if args[-1] is Ellipsis:
            args = args[:1] * len(value)
        return tuple(_convert(v, a) for v, a in zip(value, args, strict=True))
    if isinstance(value, origin or hint) and isinstance(value, bool) == (hint is bool):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise TypeError


def type_of(path: str) -> str:
    """Return the type of a setting, such as `training.batch_size`, in words."""
    section, _, name = path.partition(".")
    hints = typing.get_type_hints(type(getattr(Experiment(), section)))
    return _type_name(hints[name])


_TYPE_NAMES = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple[int, int]: "two whole numbers, such as (4, 8)",
    tuple[int, ...]: "whole numbers, such as (1, 2, 1)",
    ByResolution: PAIRS,
}


def _type_name(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return f"{_type_name(typing.get_args(hint)[0])}, or None"
    return _TYPE_NAMES[hint]
