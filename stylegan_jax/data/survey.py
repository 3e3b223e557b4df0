"""Survey of a data set: the properties on which the settings for few images depend."""

import numpy as np
from PIL import Image

from stylegan_jax.data import decoding, formats
from stylegan_jax.data.interface import InvalidImage, RawDataset
from stylegan_jax.presets import Survey

SAMPLE = 500  # images in the sample
SIDE = 16  # pixels to which images are reduced to compare mirror images
FLAT_SIDE = 64  # images with twice as many pixels a side are reduced for `flatness`
ENOUGH = 20  # images, to compare their average with its mirror image
SIGNIFICANT = 3.0  # standard errors up to which an asymmetry may be due to chance


def survey(path: str) -> Survey:
    """Survey a sample of the images of a folder or an archive.

    Args:
      path: path, as for `prepare --source`; not one that `prepare` made.

    Raises:
      ValueError: the path has no images that can be used.
    """
    try:
        raw = formats.open_raw_dataset(path)
    except ValueError as error:
        # The message names the flag of `prepare`.
        message = str(error).replace("`--source`", "the path of the images")
        raise ValueError(message) from error
    count = len(raw.names)
    chosen = np.random.RandomState(0).permutation(count)[:SAMPLE]
    sides, colored, small, flat, problem = [], 0, [], [], None
    for index in np.sort(chosen):
        try:
            image = decoding.decode_pil(_content(raw, index))
        except InvalidImage as error:
            problem = f"{raw.names[index]} {error}"
            continue
        sides.append(min(image.size))
        colored += image.mode in ("RGB", "RGBA")
        image = _on_white(image)
        small.append(_reduced(image))
        flat.append(flatness(image))
    if not sides:
        raise ValueError(f"no image of {path} can be used; {problem}")
    classes = {name.rpartition("/")[0] for name in raw.names}
    return Survey(
        images=count,
        side=int(np.quantile(sides, 0.1)),
        channels=3 if colored else 1,
        asymmetry=asymmetry(np.stack(small)),
        flatness=float(np.mean(flat)),
        classes=len(classes) if len(classes) > 1 else 0,
    )


def _content(raw: RawDataset, index: int) -> bytes | np.ndarray:
    return raw.read(int(index))


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _reduced(image: Image.Image) -> np.ndarray:
    """Return an image as gray values [SIDE, SIDE] float64."""
    gray = image.convert("L")
    return np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)


def flatness(image: Image.Image) -> float:
    """Return the share of the pixels of an RGB image that equal the next of their row.

    Large images are first reduced by a whole factor, to a smaller side of 64 to 127
    pixels, because neighbors in large photographs are often equal, too. Images that are
    one pixel wide have no neighbors: 0.
    """
    pixels = np.asarray(image.reduce(max(1, min(image.size) // FLAT_SIDE)))
    if pixels.shape[1] < 2:
        return 0.0
    return float(np.mean(np.all(pixels[:, 1:] == pixels[:, :-1], axis=-1)))


def asymmetry(images: np.ndarray) -> float:
    """Compare the average image with its mirror image.

    Args:
      images: [N,H,W], a sample.

    Returns:
      The rms difference, relative to the rms spread of the images around the average;
      0 if the sample is too small to tell it from chance.
    """
    if len(images) < ENOUGH:
        return 0.0
    mean = images.mean(0)
    difference = np.sqrt(np.mean(np.square(mean - mean[:, ::-1])))
    spread = np.sqrt(np.mean(np.var(images, 0)))
    if difference <= SIGNIFICANT * spread * np.sqrt(2 / len(images)):
        return 0.0
    return float(difference / spread) if spread else 0.0
