"""A walk through the latent space of a network, from keyframe to keyframe."""

from typing import NamedTuple

import numpy as np

from stylegan_jax.networks.network import Network
from stylegan_jax.sampling import frames, interpolation, seeds


class Walk(NamedTuple):
    """Styles along a path.

    Attributes:
      styles: function from positions [F] to ws [F,cells,L,W]; see `interpolation.path`.
      keyframes: K, the number of keyframes.
    """

    styles: interpolation.Path
    keyframes: int


def walk(
    network: Network,
    kind: str,
    values: np.ndarray,
    *,
    cells: int,
    curve: str,
    closed: bool,
    class_names: str | None = None,
    label: str | None = None,
    centers: int | None = None,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
) -> Walk:
    """Return the walk through latents.

    Keyframes are mapped and truncated, and their ws interpolated; with "slerp", z and
    labels are interpolated, mapped and truncated.

    Args:
      network: the network.
      kind: "z" or "ws".
      values: z [N,Z] or ws [N,L,W], which are dealt out to the cells.
      cells: number of paths side by side.
      curve: see `interpolation.path`.
      closed: True to return to the first keyframe.
      class_names: see `seeds.keyframe_labels`.
      label: see `seeds.keyframe_labels`.
      centers: number of centers of w for the label of each keyframe, see
        `truncation.cluster_centers`.
      truncation_psi: see `truncation.truncated_styles`.
      truncation_cutoff: see `truncation.truncated_styles`.

    Raises:
      ValueError: the values do not fit the network, the cells or each other.
    """
    if curve == "slerp" and (kind != "z" or centers is not None):
        problem = (
            "interpolates z, but the latents are w"
            if kind != "z"
            else "cannot be combined with truncation centers, because the nearest one "
            "changes suddenly between keyframes"
        )
        raise ValueError(f"the curve slerp {problem}; use linear or cubic")
    if kind == "ws" and centers is None:
        seeds.check_no_label(class_names, label)
    keyframes = frames.deal(values, cells)
    count = len(keyframes)
    labels = None
    if kind == "z" or centers is not None:
        labels = seeds.keyframe_labels(class_names, label, network.classes, count)
    truncation = {
        "truncation_psi": truncation_psi,
        "truncation_cutoff": truncation_cutoff,
    }
    if curve == "slerp":
        z_path = interpolation.path(keyframes, curve, closed=closed)
        label_path = labels is not None and interpolation.path(
            labels, "linear", closed=closed
        )

        def styles(positions: np.ndarray) -> np.ndarray:
            z = z_path(positions)
            rows = (
                np.repeat(label_path(positions), cells, axis=0) if label_path else None
            )
            ws = network.map(z.reshape(-1, z.shape[-1]), rows, **truncation)
            return np.asarray(ws).reshape(*z.shape[:2], *ws.shape[1:])

        return Walk(styles, count)
    ws = np.stack(
        _keyframe_styles(network, kind, keyframes, labels, centers, truncation)
    )
    return Walk(interpolation.path(ws, curve, closed=closed), count)


def _keyframe_styles(network, kind, keyframes, labels, centers, truncation):
    """Return the truncated ws [cells,L,W] of every keyframe."""
    found: dict[bytes, np.ndarray] = {}  # centers by label
    out = []
    for i, values in enumerate(keyframes):
        label = None if labels is None else labels[i]
        nearby = None
        if centers is not None:
            key = b"" if label is None else label.tobytes()
            if key not in found:
                found[key] = network.centers(centers, label)
            nearby = found[key]
        if kind == "z":
            ws = network.map(values, label, centers=nearby, **truncation)
        else:
            ws = network.truncate(values, centers=nearby, **truncation)
        out.append(np.asarray(ws))
    return out
