"""Agreement of networks on an accelerator with the official numbers.

A part of `benchmarks.accelerator`.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax import interop
from stylegan_jax.models import LevelOfDetail

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "golden"


def goldens(tiny: bool) -> dict[str, Any]:
    """Compare networks and gradients on this device with the official numbers.

    Errors are the largest difference relative to the rms of the official array.
    """
    del tiny
    errors = {}
    for name, kind in (
        ("A7_g16_skip_clamp0.7", "generator"),
        ("A8_g16_resnet_clamp0.7_asymfir", "generator"),
        ("B7_d16_resnet_clamp0.5_group_none", "discriminator"),
        ("B8_d16_skip_clamp0.5_mbstd_f2", "discriminator"),
    ):
        errors[f"stylegan2/{name}"] = _stylegan2_error(name, kind), 1e-4
    scores, gradients = _stylegan1_errors("loss_trainmode_16", lod=0.6)
    errors["stylegan1/scores"] = scores, 1e-4
    errors["stylegan1/gradients by images"] = gradients, 1e-3
    wrong = {name: e for name, (e, limit) in errors.items() if not e <= limit}
    if wrong:
        raise ArithmeticError(f"these differ from the official numbers: {wrong}")
    return {"errors": {name: error for name, (error, _) in errors.items()}}


def _stylegan2_error(name: str, kind: str) -> float:
    with np.load(GOLDENS / "stylegan2_and_3" / f"{name}.npz") as data:
        arrays = dict(data)
    settings = json.loads((GOLDENS / "stylegan2_and_3" / f"{name}.json").read_text())
    model, variables = interop.from_official(
        _below(arrays, "param/"), "stylegan2-ada-pytorch", kind, **settings["kwargs"]
    )
    if kind == "generator":
        inputs, wanted = arrays["in/z"], arrays["out/img_const"].transpose(0, 2, 3, 1)
    else:
        batch = settings["batches"][0]
        images = arrays["in/img_u8"][:batch].transpose(0, 2, 3, 1)
        inputs = images.astype(np.float32) / 127.5 - 1
        wanted = arrays[f"out/logits_n{batch}"][:, 0]
    labels = arrays["in/c"][: len(inputs)] if "in/c" in arrays else None
    return _error(jax.jit(model.apply)(variables, inputs, labels), wanted)


def _stylegan1_errors(name: str, lod: float) -> tuple[float, float]:
    """Return the errors of scores, and of their gradients by the images."""
    with np.load(GOLDENS / "stylegan1" / f"{name}.npz") as data:
        arrays = dict(data)
    manifest = json.loads((GOLDENS / "stylegan1" / "manifest.json").read_text())
    settings = manifest[f"{name}.npz"]["settings"]
    model, variables = interop.from_official(
        _below(arrays, "vars/D/"),
        "stylegan1",
        "discriminator",
        **settings["common_kwargs"],
        **settings["D_kwargs"],
        label_size=settings["label_size"],
    )
    reals = arrays["in/reals"].transpose(0, 2, 3, 1)
    level = LevelOfDetail.from_scalar(lod, reals.shape[1])

    def score(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        scores = model.apply(variables, images, arrays["in/labels"], level)
        return jnp.sum(scores), scores

    (_, scores), gradients = jax.jit(jax.value_and_grad(score, has_aux=True))(reals)
    out = _below(arrays, f"out/lod{lod}/")
    wanted = out["real_grads"].transpose(0, 2, 3, 1)
    return _error(scores, out["real_scores"][:, 0]), _error(gradients, wanted)


def _below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


def _error(actual: Any, wanted: np.ndarray) -> float:
    actual = np.asarray(actual, np.float32)
    if actual.shape != wanted.shape:
        raise ValueError(f"shape {actual.shape} in place of {wanted.shape}")
    return float(np.abs(actual - wanted).max() / np.sqrt(np.mean(np.square(wanted))))
