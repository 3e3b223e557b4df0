"""Raw data sets for tests: random images, in archives and in the formats of others."""

import io
import pickle
import random
import tarfile
import zipfile

import numpy as np
from PIL import Image

from stylegan_jax.runtime.tensorflow import tensorflow

CIFAR_CLASSES = ("airplane", "automobile", "bird")
CIFAR_LABELS = [0, 1, 2, 1, 0, 2, 2, 1, 0, 0]  # 5 batches of 2 images


def noise(*shape, seed=0) -> np.ndarray:
    """Random uint8 array."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def random_image(size=(16, 16), mode="RGB", seed=0) -> Image.Image:
    """Image of random pixels; `size` is (width, height)."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = noise(size[1], size[0], bands, seed=seed)
    return Image.fromarray(pixels[..., 0] if bands == 1 else pixels)


def png(seed=0, size=(16, 16), mode="RGB", kind="PNG") -> bytes:
    """Encoded random image, of another format with `kind`."""
    return encoded(random_image(size, mode, seed), kind)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


FILES = {f"{'ab'[i % 2]}/{i}.png": png(i) for i in range(10)}


def write_images(root, names, size=(16, 16), mode="RGB"):
    """Write different random images to files in a folder."""
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        random_image(size, mode, seed).save(root / name)


def pack(kind, path, files: dict[str, bytes]):
    """Write files as a folder, zip or tar; return its path with the ending added."""
    path = path.with_name(f"{path.name}.{kind}") if kind != "folder" else path
    if kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{kind.partition('.')[2]}") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Content with random bytes changed, removed or added, or its end cut off."""
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if len(damaged) < 2:
            break
        position = rng.randrange(min(len(damaged), rng.choice([120, len(damaged)])))
        kind = rng.random()
        if kind < 0.6:
            damaged[position] = rng.randrange(256)
        elif kind < 0.75:
            del damaged[position : position + rng.randrange(1, 30)]
        elif kind < 0.85:
            del damaged[max(position, 1) :]
        else:
            damaged[position:position] = rng.randbytes(8)
    return bytes(damaged)


def cifar_images() -> np.ndarray:
    """Images of `cifar_files`, [10, 3, 32, 32]."""
    return noise(10, 3, 32, 32)


def cifar_files(kind) -> dict[str, bytes]:
    """Files of CIFAR-10's "py" or "bin" tar."""
    top = f"cifar-10-batches-{kind}"
    rows = cifar_images().reshape(5, 2, -1)
    numbers = np.reshape(CIFAR_LABELS, (5, 2))
    if kind == "bin":
        meta = "\n".join([*CIFAR_CLASSES, ""])
        files = {f"{top}/batches.meta.txt": meta.encode()}
        for i in range(5):
            batch = np.concatenate([numbers[i, :, None].astype(np.uint8), rows[i]], 1)
            files[f"{top}/data_batch_{i + 1}.bin"] = batch.tobytes()
        return files | {f"{top}/test_batch.bin": bytes(3073)}
    meta = {"label_names": list(CIFAR_CLASSES), "num_vis": 3072}
    files = {f"{top}/batches.meta": pickle.dumps(meta, protocol=2)}
    for i in range(5):
        batch = {"data": rows[i], "labels": numbers[i].tolist(), "filenames": ["a"] * 2}
        files[f"{top}/data_batch_{i + 1}"] = pickle.dumps(batch, protocol=2)
    return files | {f"{top}/test_batch": b"unread"}


def idx(array) -> bytes:
    """Content of an idx file, MNIST's format."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def nvidia_folder(root, arrays, name="set", labels=None):
    """Write images [N, C, H, W] of several sizes as NVIDIA's tool does."""
    train = tensorflow().train
    root.mkdir()
    for array in arrays:
        path = root / f"{name}-r{array.shape[2].bit_length() - 1:02d}.tfrecords"
        with tensorflow().io.TFRecordWriter(str(path)) as writer:
            for image in array:
                shape = train.Int64List(value=image.shape)
                data = train.BytesList(value=[image.tobytes()])
                feature = {
                    "shape": train.Feature(int64_list=shape),
                    "data": train.Feature(bytes_list=data),
                }
                features = train.Features(feature=feature)
                example = train.Example(features=features)
                writer.write(example.SerializeToString(deterministic=True))
    if labels is not None:
        with open(root / f"{name}-rxx.labels", "wb") as file:
            np.save(file, np.float32(labels))
