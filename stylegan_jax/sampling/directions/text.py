"""A direction of w along which images come closer to a text.

It works with any model that embeds images and texts in one space and implements
`TextModel`; `OpenClip` adapts the models of the package open_clip_torch.

Reference: Radford et al. 2021, "Learning Transferable Visual Models From Natural
Language Supervision"; for the difference of two texts, Patashnik et al. 2021,
"StyleCLIP", section 6.
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
        """Return the embeddings [N,D] of texts; they need not be normalized."""

    def embed_images(self, images: np.ndarray) -> np.ndarray:
        """Return the embeddings [N,D] of images [N,H,W,C] uint8, in the same space."""


class OpenClip:
    """A model of the package open_clip_torch, on the CPU, with weights from a file."""

    def __init__(self, name: str, weights: Path):
        """Load a model.

        Args:
          name: name of the model in the package, such as ViT-B-32.
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
    """Return the direction from one text to another.

        t = unit(unit(E(positive)) - unit(E(negative)))
        score = unit(E(image)) . t
        vector ~ cov(w, score)

    over samples of w. Of all changes of w with the same Mahalanobis length, this one
    increases the linear prediction of the score most.

    Args:
      subject: the network.
      name: name of the direction.
      model: see `TextModel`.
      positive: the text towards which the direction points.
      negative: the text from which it points away.
      samples: batches of w [B,W] and their images [B,H,W,C] uint8.

    Returns:
      A direction with a vector [W] and the facts `correlation`, the correlation of the
      score with the position along the direction; and `examples`, the number of
      samples.

    Raises:
      ValueError: the model does not distinguish the texts.
    """
    ends = _units(model.embed_texts([positive, negative]))
    difference = ends[0] - ends[1]
    length = np.linalg.norm(difference)
    if not length > 1e-6:
        raise ValueError(
            f"the model does not distinguish the texts {positive!r} and {negative!r}; "
            "choose others"
        )
    all_w, scores = [], []
    for w, images in samples:
        all_w.append(np.asarray(w, np.float64))
        scores.append(_units(model.embed_images(images)) @ difference / length)
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
