"""A direction of w along which images come nearer to a text.

Any model that embeds images and texts in one space will do: `TextModel` is all that is
asked of it, and `OpenClip` adapts those of the package open_clip_torch.

Reference: Radford et al. 2021, "Learning Transferable Visual Models From Natural
Language Supervision"; Patashnik et al. 2021, "StyleCLIP", section 6, for the difference
of two texts.
"""

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.sampling.directions.subject import Subject


class TextModel(Protocol):
    """A model that embeds images and texts in one space."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings [N,D] of texts, of any length but 0."""

    def embed_images(self, images: np.ndarray) -> np.ndarray:
        """Return the embeddings [N,D] of images [N,H,W,C] uint8, likewise."""


class OpenClip:
    """A model of the package open_clip_torch, on the CPU, with weights from a file."""

    def __init__(self, name: str, weights: Path):
        """Load it.

        Args:
          name: of the model, as the package calls it, such as ViT-B-32.
          weights: the file with its weights.

        Raises:
          ValueError: the package is not installed, or there is no such model.
        """
        if importlib.util.find_spec("open_clip") is None:
            raise ValueError(
                "text directions need the package open_clip_torch, which is not "
                "installed; run `python -m pip install open_clip_torch`"
            )
        import open_clip

        if name not in open_clip.list_models():
            raise ValueError(
                f"open_clip has no model {name!r}; `python -c 'import open_clip; "
                "print(open_clip.list_models())'` lists them"
            )
        self._model, _, self._prepare = open_clip.create_model_and_transforms(
            name, pretrained=str(weights)
        )
        self._model.eval()
        self._tokenize = open_clip.get_tokenizer(name)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `TextModel`."""
        import torch

        with torch.no_grad():
            return self._model.encode_text(self._tokenize(list(texts))).numpy()

    def embed_images(self, images: np.ndarray) -> np.ndarray:
        """See `TextModel`."""
        import torch
        from PIL import Image

        shown = [self._prepare(Image.fromarray(np.squeeze(x))) for x in images]
        with torch.no_grad():
            return self._model.encode_image(torch.stack(shown)).numpy()


def text(
    subject: Subject,
    name: str,
    model: TextModel,
    positive: str,
    negative: str,
    samples: Iterable[tuple[np.ndarray, np.ndarray]],
) -> Direction:
    """Return the direction from a text to another.

        t = unit(E(positive)) - unit(E(negative)), of unit length
        vector ~ cov(w, unit(E(image)) . t)

    over samples of w. Of all changes of w with the same length in its standard
    deviations (the Mahalanobis length), this one raises the linear prediction of the
    score most.

    Args:
      subject: the network.
      name: of the direction.
      model: see `TextModel`.
      positive: the text to which it leads.
      negative: the text from which it leads.
      samples: batches of w [B,W] and their images [B,H,W,C] uint8.

    Returns:
      A direction of [W] with the facts `correlation`, that of the score with the
      position along the direction; and `examples`, the number of samples.

    Raises:
      ValueError: the texts mean the same to the model.
    """
    ends = _units(model.embed_texts([positive, negative]))
    way = ends[0] - ends[1]
    length = np.linalg.norm(way)
    if not length > 1e-6:
        raise ValueError(
            f"the texts {positive!r} and {negative!r} mean the same to the model; "
            "choose others"
        )
    all_w, scores = [], []
    for w, images in samples:
        all_w.append(np.asarray(w, np.float64))
        scores.append(_units(model.embed_images(images)) @ way / length)
    w, score = np.concatenate(all_w), np.concatenate(scores)
    vector = (score - score.mean()) @ (w - w.mean(0)) / len(w)
    along = w @ vector
    return subject.in_w(
        name,
        "text",
        vector,
        correlation=float(np.corrcoef(along, score)[0, 1]),
        examples=float(len(w)),
    )


def _units(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
