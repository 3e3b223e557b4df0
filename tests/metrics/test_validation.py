"""Contradicting flags and missing requirements are reported before any work."""

import dataclasses

import jax
import pytest
from absl import flags

from stylegan_jax import evaluate
from stylegan_jax.commands.evaluate import COMMAND
from stylegan_jax.data.sources import from_path
from stylegan_jax.metrics import context, evaluation, registry
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.metrics.validation import (
    EXCLUDES,
    REQUIRES,
    USED_BY,
    check_requirements,
    check_used,
    flag_problems,
)
from stylegan_jax.models import stylegan2
from stylegan_jax.runtime import parallel
from tests.metrics import stand_ins
from tests.metrics.stand_ins import no_generator, two_sets

RUN, FOLDERS = {"workdir"}, {"images_a", "images_b"}


@pytest.mark.parametrize(
    "given",
    [
        RUN,
        RUN | {"data", "fit", "step", "truncation_psi", "noise", "out"},
        FOLDERS | {"size", "fit"},
        RUN | {"coordinator", "num_processes", "process_id"},
        RUN | {"distributed"},
    ],
)
def test_flags_that_belong_together(given):
    assert flag_problems(given) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (set(), "give --network, or both --images_a and --images_b"),
        (RUN | FOLDERS, "--workdir cannot be combined with --images_a, --images_b"),
        (RUN | {"size"}, "--workdir cannot be combined with --size: omit one of them"),
        ({"images_a"}, "--images_a has no effect without --images_b: add that"),
        (RUN | {"fit"}, "--fit has no effect without --images_a or --data"),
        (FOLDERS | {"data"}, "--data has no effect without --network or --workdir"),
        (FOLDERS | {"step"}, "--step has no effect without --network or --workdir"),
        (FOLDERS | {"noise"}, "or leave out --noise"),
        (RUN | {"num_processes"}, "--num_processes has no effect without --coord"),
    ],
)
def test_flags_that_contradict(given, message):
    [problem] = flag_problems(given)
    assert message in problem


def test_every_rule_is_about_flags_that_exist():
    rules = list(REQUIRES.items()) + list(EXCLUDES.items())
    named = {name for flag, others in rules for name in (flag, *others)}
    assert named | USED_BY.keys() <= set(COMMAND.all_flags)


@pytest.mark.parametrize(
    ("flag", "used", "unused", "users"),
    [
        ("features", "swd,kid", "swd,msssim", "fid50k, fid50k_full, kid, is, pr, fid_"),
        ("detector", "is", "kid_efficientnet", "fid50k, "),
        ("vgg16", "ppl_w_end", "ls", "lpips_diversity, ppl_z_full, "),
        ("efficientnet", "fd_efficientnet", "kid", "kid_efficientnet, fd_efficient"),
        ("attributes", "ls", "ppl_w_end,eqr50k", "ls"),
    ],
)
def test_flags_that_no_metric_uses(flag, used, unused, users):
    check_used({flag, "seed"}, registry.find(used.split(",")))
    check_used({"seed"}, registry.find(unused.split(",")))
    with pytest.raises(ValueError) as raised:
        check_used({flag}, registry.find(unused.split(",")))
    assert str(raised.value).startswith(
        f"--{flag} has no effect on --metrics={unused}; leave it out, or add a metric "
        f"that uses it: {users}"
    )


@pytest.mark.parametrize(
    ("shards", "size"), [(1, 32), (2, 32), (3, 36), (4, 32), (5, 40), (8, 32), (24, 48)]
)
def test_the_default_batch_divides_by_the_devices(shards, size):
    mesh = jax.sharding.AbstractMesh((shards,), ("data",))
    devices = parallel.Parallel(mesh)
    assert context.default_batch_size(devices) == size
    devices.check_batch("batch_size", size, context.IMAGES_OF_A_PAIR)


def test_a_batch_that_does_not_split_into_pairs_is_explained(devices):
    three = parallel.Parallel(jax.sharding.AbstractMesh((3,), ("data",)))
    with pytest.raises(ValueError) as raised:
        stand_ins.context(three, batch_size=32)
    assert str(raised.value) == (
        "`batch_size` (=32) must be divisible by the 3 devices times 2 images of a "
        "pair, since some metrics compare pairs; try 30 or 36"
    )


@pytest.mark.parametrize("psi", [float("nan"), float("inf"), 1e39])
def test_a_generator_needs_a_finite_truncation(devices, psi):
    with pytest.raises(ValueError, match=r"`truncation_psi` .* must be a finite"):
        dataclasses.replace(no_generator(devices), truncation_psi=psi)


def test_defaults_are_not_given(monkeypatch):
    values = flags.FlagValues()
    argv = ["evaluate", "--workdir=runs/it"]
    COMMAND.define(values, argv)
    COMMAND.parse(argv, values)
    monkeypatch.setattr(evaluate, "FLAGS", values)
    assert evaluate.given_flags() == {"workdir"}


def problems(spec, features=None):
    with pytest.raises(ValueError) as caught:
        check_requirements(spec, has_classifier=False, features=features)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "names", "message"),
    [
        ({}, ["ppl_w_end_crop"], "ppl_w_end_crop needs images of at least 32 pixels"),
        ({"reals": None}, ["fid50k"], "fid50k needs real images; give --data"),
        ({}, ["ppl_w_end"], "ppl_w_end needs a generator, not only its images"),
        ({"images": 1}, ["kid"], "kid needs at least 2 images of each kind"),
        ({"images": 2}, ["kid_efficientnet"], "needs at least 3 images of each kind"),
    ],
)
def test_evaluations_check_at_once(devices, emoji, changes, names, message):
    spec = two_sets(devices, emoji, names, **changes)
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(spec, stand_ins.context(devices))


def test_classifiers_classes_and_sizes(devices, emoji):
    generated = no_generator(devices)
    names = ["ls", "fid_per_class"]
    text = problems(two_sets(devices, emoji, names, generated=generated, images=8))
    assert "ls needs a classifier; give --attributes" in text
    assert "fid_per_class needs classes, which it lacks" in text
    large = from_path.open_path("builtin", (32, 32), "exact")
    reals = RealImages(large, devices, 0, "exact")
    text = problems(two_sets(devices, emoji, ["swd"], reals=reals))
    assert "emoji is 32x32, the built-in emoji is 16x16 (width x height); both" in text
    with pytest.raises(ValueError, match="`batch_size` .=15. must be divisible"):
        stand_ins.context(devices, batch_size=15)


def test_numbers_of_images(devices, emoji):
    names = ["is", "pr", "fid_per_class", "kid"]
    text = problems(two_sets(devices, emoji, names, images=3))
    assert "is needs at least 10 images of each kind, but there are 3 generated;" in (
        text
    )
    assert "pr needs at least 4 images of each kind, but there are 3 generated and" in (
        text
    )
    assert "fid_per_class needs at least 16 images of each kind of 8 classes" in text
    assert "kid" not in text
    enough = two_sets(devices, emoji, names, images=16)
    check_requirements(enough, has_classifier=False, features="inception")


def test_a_detector_without_class_logits(devices, emoji):
    text = problems(two_sets(devices, emoji, ["is", "pr"]), features="vgg16")
    assert "is needs a detector with class logits, which vgg16 is not" in text
    assert "inception_pytorch_fid" in text and "pr needs" not in text


def test_sizes_that_metrics_cannot_crop_or_halve(devices, emoji):
    def spec(size, names):
        network = stylegan2.Generator(resolution=32, base_size=size)
        generated = no_generator(devices, network)
        return two_sets(devices, emoji, names, generated=generated, reals=None)

    text = problems(spec((6, 8), ["ppl_w_end_crop"]))
    assert "ppl_w_end_crop needs images of another size: the images are 64x48" in text
    assert "needs square images" in text
    check_requirements(spec((6, 8), ["ppl_w_end"]), False, None)
    check_requirements(spec((4, 4), ["ppl_w_end_crop"]), False, None)
    odd = dataclasses.replace(emoji, base_size=(33, 40), resolution=4)
    reals = RealImages(odd, devices, 0, "exact")
    text = problems(two_sets(devices, emoji, ["swd"], reals=reals, generated=reals))
    assert "swd needs images of another size: the images are 40x33" in text
    assert "both must be multiples of 2" in text


def test_classes_are_matched_by_name(devices, emoji):
    other = dataclasses.replace(emoji, classes=emoji.classes[::-1])
    fewer = dataclasses.replace(emoji, classes=emoji.classes[:5])
    vectors = dataclasses.replace(emoji, label_vectors=True)

    def spec(source, metric="fid_per_class"):
        generated = RealImages(source, devices, 1, "exact")
        return two_sets(devices, emoji, [metric], generated=generated)

    text = problems(spec(other))
    assert "fid_per_class needs the same classes in both sets" in text
    assert "number 0 is 'activities' in one and 'travel-places' in the other" in text
    assert "has 8, the built-in emoji 5" in problems(spec(fewer))
    assert "fid_per_class needs classes; the labels of" in problems(spec(vectors))
    for source in (emoji, other, fewer, vectors):
        check_requirements(spec(source, "kid"), False, None)
    check_requirements(spec(emoji), False, None)
    generated = no_generator(devices, label_size=8)
    generator = two_sets(devices, emoji, ["fid_per_class"], generated=generated)
    check_requirements(generator, False, None)
