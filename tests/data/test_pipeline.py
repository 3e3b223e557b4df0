"""The order of images, and the batches of each process."""

import dataclasses

import numpy as np
import pytest

from stylegan_jax import config
from stylegan_jax.data import images, pipeline
from stylegan_jax.data.interface import Loader, Source
from stylegan_jax.data.labels import Labels
from stylegan_jax.data.order import shuffled
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime.tensorflow import tensorflow
from tests import goldens
from tests.data.opened import data, start, take
from tests.data.raw_data import write_images


def array_source(pixels, labels=None, classes=()) -> Source:
    """Build a source of square arrays, uint8 [N, R, R, C]."""
    tf = tensorflow()
    found = Labels(classes, np.int32(labels if classes else [0] * len(pixels)))
    pixels, label_of = tf.constant(pixels), found.lookup()
    return Source.create(
        config.Data(resolution=pixels.shape[1], channels=pixels.shape[3]),
        found.counts(),
        name="arrays",
        fingerprint="00",
        load=Loader(
            lambda image, label: (image, label),
            lambda indices: (tf.gather(pixels, indices), label_of(indices)),
        ),
        describe=lambda index: f"array {index}",
        check=lambda index: None,
    )


def numbered_source(count: int) -> Source:
    """Build a source whose image i is a pixel of value i and class i modulo 3."""
    pixels = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return array_source(pixels, np.arange(count) % 3, ("a", "b", "c"))


def order(source, count, **changes):
    return take(source, count, **changes)[0].ravel().tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("seed", [0, 2**31])
def test_every_epoch_is_a_permutation(count, seed):
    epochs = np.reshape(
        order(numbered_source(count), 12, batch_size=count, seed=seed), [12, count]
    )
    assert (np.sort(epochs) == np.arange(count)).all()
    if count > 2:
        assert len({tuple(epoch) for epoch in epochs}) > 2


def test_seeds_give_different_orders():
    source = numbered_source(40)
    orders = {tuple(order(source, 10, seed=s)) for s in (0, 1, 2**31 - 1, 2**31)}
    assert len(orders) == 4


@pytest.mark.parametrize("seed", [0, 7])
def test_the_order_is_that_of_index_shuffle(seed):
    """Runs that began with TensorFlow's function resume in the same order."""
    tf = tensorflow()
    hashed = int(np.random.SeedSequence(seed).generate_state(1)[0]) & 0x7FFFFFFF
    for position in (0, 3, 11, 10**12 + 3):
        epoch, rest = divmod(position, 11)
        expected = tf.random.experimental.index_shuffle(
            tf.constant(rest, tf.int64),
            seed=tf.constant([hashed, epoch], tf.int64),
            max_index=tf.constant(10, tf.int64),
        )
        assert shuffled(np.array([position]), 11, seed) == int(expected)


def test_labels_follow_their_images():
    pixels, labels = take(numbered_source(40), 20)
    assert labels.dtype == np.float32 and labels.shape == (80, 3)
    np.testing.assert_array_equal(labels, np.eye(3)[pixels.ravel() % 3])


def test_without_classes_labels_are_empty():
    _, labels = take(array_source(np.zeros([5, 2, 2, 1], np.uint8)), 1)
    assert labels.dtype == np.float32 and labels.shape == (4, 0)


@pytest.mark.parametrize("consumed", [0, 1, 4, 7, 8, 21, 10**12 + 3])
def test_resumes_at_any_position_and_batch_size(consumed):
    source = numbered_source(7)
    whole = order(source, 30, batch_size=1, start_images=consumed)
    assert order(source, 10, batch_size=3, start_images=consumed) == whole
    assert order(source, 2, batch_size=5, start_images=consumed + 20) == whole[20:]
    assert whole == shuffled(consumed + np.arange(30), 7, 0).tolist()


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_one_process_batch(processes):
    source = numbered_source(11)
    settings = {"batch_size": 8, "start_images": 5}
    whole = np.reshape(order(source, 6, **settings), [6, 8])
    shares = [
        np.reshape(
            order(source, 6, process_index=p, process_count=processes, **settings),
            [6, 8 // processes],
        )
        for p in range(processes)
    ]
    np.testing.assert_array_equal(np.concatenate(shares, 1), whole)


def test_levels_match_the_official_pyramid():
    golden = goldens.arrays("stylegan1/dataset_pyramid.npz")
    source = array_source(goldens.nhwc(golden["in/images_uint8"]))
    where = shuffled(np.arange(2), source.num_images, 0)
    for resolution in (4, 8, 16, 32):
        expected = goldens.nhwc(golden[f"out/level_{resolution}x{resolution}"])[where]
        level, _ = take(source, 1, resolution=resolution, batch_size=2)
        assert level.dtype == np.uint8
        np.testing.assert_array_equal(level, expected)


def average(pixels) -> int:
    """Return the mean pixel of a square grayscale image as the pipeline rounds it."""
    image = tensorflow().constant(np.array(pixels, np.uint8)[..., None])
    return images.box_average(image, (1, 1)).numpy().item()


def test_averages_round_half_to_even():
    # Means 0.5, 1.5, 2.5 and 3.5.
    rounded = [average([[low, low], [low + 1, low + 1]]) for low in range(4)]
    assert rounded == [0, 2, 2, 4]


def test_averages_round_only_once():
    # The quarters' means are 0.5, 0.5, 0.5 and 0.75, which would round to 0, 0, 0, 1.
    assert average([[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]]) == 1


def test_large_boxes_are_averaged_exactly():
    image = np.random.default_rng(0).integers(0, 256, [1024, 1024], np.uint8)
    assert average(image) == np.rint(image.astype(np.float64).mean())


def test_first_images_begin_the_order():
    source = numbered_source(5)
    pixels, labels = pipeline.first_images(source, resolution=1, count=7, seed=3)
    assert pixels.shape == (7, 1, 1, 1) and labels.shape == (7, 3)
    assert pixels.ravel().tolist() == order(source, 7, batch_size=1, seed=3)


def test_builtin_images_arrive():
    source = open_source(config.Data(resolution=64))
    pixels, labels = take(source, 2, resolution=8, batch_size=16)
    assert pixels.shape == (32, 8, 8, 3) and pixels.std() > 10
    np.testing.assert_array_equal(labels.sum(1), 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 5, "process_count": 2}, "`batch_size` (=5) must be a positive"),
        ({"batch_size": 0}, "`batch_size` (=0) must be a positive"),
        ({"process_index": 1}, "`process_index` (=1) must be in [0, 1)"),
        ({"start_images": -1}, "`start_images` (=-1) must not be negative"),
        ({"seed": -1}, "`seed` (=-1) must not be negative"),
        ({"resolution": 8}, "`resolution` (=8) must be the 4 of arrays, or that"),
        ({"resolution": 3}, "`resolution` (=3) must be the 4"),
        ({"resolution": 0}, "`resolution` (=0) must be the 4"),
    ],
)
def test_unusable_arguments_fail_immediately(changes, message):
    source = array_source(np.zeros([5, 4, 4, 1], np.uint8))
    with pytest.raises(ValueError) as error:
        start(source, **changes)
    assert message in str(error.value)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_image_is_named(tmp_path, suffix):
    names = [f"{i}.{suffix}" for i in range(6)]
    write_images(tmp_path, names, size=(16, 16))
    bad = tmp_path / names[4]
    bad.write_bytes(bad.read_bytes()[:-60])
    source = open_source(data("folder", tmp_path, resolution=8))
    assert source.check(3) is None
    with pytest.raises(ValueError, match="is damaged: .*; repair, replace") as error:
        take(source, 3)
    assert str(error.value).startswith(f"{bad} ")


def test_a_file_that_vanishes_is_named(tmp_path):
    write_images(tmp_path, ["a.png", "b.png"], size=(8, 8))
    source = open_source(data("folder", tmp_path, resolution=8))
    (tmp_path / "b.png").unlink()
    with pytest.raises(ValueError, match="b.png cannot be read: No such file"):
        take(source, 1)


def test_a_temporary_failure_is_not_a_damaged_image(tmp_path):
    """Programs that restart runs must know which errors are permanent."""
    write_images(tmp_path, ["a.png", "b.png"], size=(8, 8))
    source = open_source(data("folder", tmp_path, resolution=8))
    (tmp_path / "b.png").unlink()
    (tmp_path / "b.png").mkdir()  # a stand-in for a failing file system
    with pytest.raises(OSError, match="b.png cannot be read: Is a directory; run"):
        take(source, 1)


def test_batches_before_a_damaged_one_are_delivered():
    tf = tensorflow()
    bad = int(shuffled(np.array([6]), 8, 0)[0])

    def load(index):
        with tf.control_dependencies([tf.debugging.Assert(index != bad, [index])]):
            return tf.zeros([1, 1, 1], tf.uint8), tf.zeros([3])

    source = dataclasses.replace(
        numbered_source(8),
        load=Loader(load),
        check=lambda index: "is bad" if index == bad else None,
    )
    iterator = start(source, batch_size=3, prefetch_batches=4)
    next(iterator)
    next(iterator)
    with pytest.raises(ValueError, match=f"^array {bad} is bad; repair"):
        next(iterator)


def test_an_unexplained_failure_is_not_lost():
    tf = tensorflow()

    def load(index):
        with tf.control_dependencies([tf.debugging.Assert(index < 0, ["oops"])]):
            return tf.zeros([1, 1, 1], tf.uint8), tf.zeros([3])

    source = dataclasses.replace(numbered_source(8), load=Loader(load))
    message = r"reading 4 images of arrays, from array \d on, failed"
    with pytest.raises(RuntimeError, match=message) as error:
        take(source, 1, start_images=8)
    assert "oops" in str(error.value.__cause__)
