"""A file with the state of an interrupted projection, from which it resumes exactly."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from stylegan_jax.inversion import steps
from stylegan_jax.inversion.projection import Projection, Run, Session
from stylegan_jax.inversion.projector import FIT, Projector
from stylegan_jax.networks.digest import digest
from stylegan_jax.runtime.messages import listed
from stylegan_jax.weights import safetensors

KEY = "stylegan_jax.projection"  # key of the description in the metadata
_RESULT_ARRAYS = ("ws", "view", "image", "path")  # fields of `Projection`


def fingerprint(
    projector: Projector, targets: np.ndarray, names: tuple[str, ...], path: bool
) -> dict[str, Any]:
    """Return everything that the results depend on, as JSON data.

    The batch size is not included, because the runs are independent of each other.
    """
    label = projector.label
    if not isinstance(label, str) or label != FIT:
        label = projector.network.label(label, 1)
        label = None if label is None else label[0].tolist()
    encoder = projector.encoder
    return {
        **dataclasses.asdict(projector.settings),
        "network": digest(projector.network.variables),
        "distance": f"{projector.distance.name} {projector.distance.digest}".strip(),
        "label": label,
        "encoder": encoder and digest({"params": encoder.params}),
        "resolution": projector.lod.resolution,
        "targets": hashlib.sha256(np.ascontiguousarray(targets).tobytes()).hexdigest(),
        "names": list(names),
        "path": path,
    }


def save(file: Path, session: Session, about: dict[str, Any]) -> None:
    """Write the state of a session to a file, atomically."""
    arrays: dict[str, np.ndarray] = {}
    under_way, best = [], []
    for i, run in enumerate(session.rows()):
        tree = {**run.row._asdict(), "path": dict(enumerate(run.path))}
        arrays |= _flat(f"run{i}", tree)
        under_way.append(
            {
                "target": run.target,
                "number": run.number,
                "start_distance": run.start_distance,
                "frames": len(run.path),
            }
        )
    for target, (found, ends) in session.best.items():
        fields = {
            f.name: getattr(found, f.name) for f in dataclasses.fields(Projection)
        }
        held = {name: fields.pop(name) for name in (*_RESULT_ARRAYS, "maps")}
        arrays |= _flat(
            f"best{target}", {k: v for k, v in held.items() if v is not None}
        )
        best.append({"target": target, "ends": list(ends.items()), "fields": fields})
    text = json.dumps(
        {
            "fingerprint": about,
            "done": sorted(session.done),
            "under_way": under_way,
            "best": best,
        }
    )
    safetensors.write(file, arrays, {KEY: text})


def load(file: Path, session: Session, about: dict[str, Any]) -> None:
    """Restore a session from a file that `save` wrote.

    Raises:
      ValueError: the file is damaged, or belongs to another projection.
      OSError: the file cannot be read.
    """
    remedy = f"choose another --out, or delete {file} to begin again"
    try:
        arrays, metadata = safetensors.read(file)
        found = json.loads(metadata[KEY])
        # Files of older versions lack this setting.
        found["fingerprint"].setdefault("transform", "fixed")
        different = [
            name
            for name in sorted(about.keys() | found["fingerprint"].keys())
            if about.get(name) != found["fingerprint"].get(name)
        ]
        restored = None if different else _parse(arrays, found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}, of an interrupted projection, is damaged ({error}); {remedy}"
        ) from error
    if different:
        raise ValueError(
            f"{file.parent} has an interrupted projection with other "
            f"{listed(different)}; repeat its command to continue it, {remedy}"
        )
    session.restore(*restored)


def _parse(
    arrays: dict[str, np.ndarray], found: dict[str, Any]
) -> tuple[set[int], dict[int, tuple[Projection, dict[int, float]]], list[Run]]:
    """Return the arguments of `Session.restore` from the content of a file."""
    under_way = []
    for i, about_run in enumerate(found["under_way"]):
        tree = _tree(arrays, f"run{i}")
        frames = tree.pop("path", {})
        run = Run(about_run["target"], about_run["number"], _row(tree))
        run.start_distance = about_run["start_distance"]
        run.path = [frames[str(k)] for k in range(about_run["frames"])]
        under_way.append(run)
    best = {}
    for entry in found["best"]:
        held = {"path": None, "view": None, "maps": {}}
        held |= _tree(arrays, f"best{entry['target']}")
        held["maps"] = traverse_util.flatten_dict(held["maps"], sep="/")
        result = Projection(**{**entry["fields"], "runs": (), **held})
        best[entry["target"]] = result, {int(n): d for n, d in entry["ends"]}
    return set(found["done"]), best, under_way


def _flat(prefix: str, tree: dict[str, Any]) -> dict[str, np.ndarray]:
    flat = traverse_util.flatten_dict({prefix: _string_keys(tree)}, sep="/")
    return {name: np.asarray(value) for name, value in flat.items()}


def _string_keys(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {str(key): _string_keys(value) for key, value in tree.items()}
    return tree


def _tree(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, Any]:
    start = f"{prefix}/"
    chosen = {
        k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)
    }
    return traverse_util.unflatten_dict(chosen, sep="/")


def _row(tree: dict[str, Any]) -> steps.Runs:
    """Return a row; its noise maps are keyed by their full paths again."""
    for name in ("point", "mu", "nu"):
        maps = traverse_util.flatten_dict(tree[name].get("noise", {}), sep="/")
        tree[name] = {**tree[name], "noise": maps}
    return jax.tree.map(np.asarray, steps.Runs(**tree))
