"""directions as users start it, and generate and interpolate with what it wrote."""

import dataclasses
import re

import numpy as np
import pytest
from PIL import Image

import stylegan_jax
from stylegan_jax import directions, generate, interpolate
from stylegan_jax.commands.directions import METHODS
from stylegan_jax.networks import file
from stylegan_jax.sampling.directions import direction as direction_module
from tests.networks import small

pytestmark = pytest.mark.usefixtures("quick_compilation")
FEW = ("--samples=50", "--seeds=0-1", "--strengths=-2,0,2.5")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the path of a conditional network in a file."""
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    file.save(small.network("stylegan2", ("a", "b")), path)
    return path


@pytest.fixture
def run(run_main, saved, tmp_path):
    """Find directions in `tmp_path / "out"`; return what the command prints."""

    def run(*arguments):
        out = f"--out={tmp_path / 'out'}"
        return run_main(directions, f"--network={saved}", out, *FEW, *arguments)

    return run


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


GROUPS = ("--positive=3-5", "--negative=0,2,7", "--name=smile")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--method=sefa", "--count=2", "--layers=1-3"], ["sefa_1", "sefa_2"]),
        (["--method=ganspace", "--count=1", "--class=b"], ["ganspace_1"]),
        (
            ["--method=stylespace", "--channels=2:3,5:0"],
            ["stylespace_2_3", "stylespace_5_0"],
        ),
        (["--method=boundary", *GROUPS], ["smile"]),
        (["--method=difference", *GROUPS], ["smile"]),
    ],
)
def test_files_and_figures(run, saved, tmp_path, arguments, names):
    out = tmp_path / "out"
    printed = run(*arguments)
    files = {f"{n}.{ending}" for n in names for ending in ("png", "safetensors")}
    assert {path.name for path in out.iterdir()} == files | {"directions.png"}
    g = stylegan_jax.load(saved)
    for name in names:
        found = g.direction(out / f"{name}.safetensors")
        assert found.name == name and found.strengths == (-2, 2.5)
        assert f"{name}: " in printed and f"one unit is {found.sigma:.4g}" in printed
        # Two seeds with three strengths of 64x64 pixels each, and their names.
        height, width, _ = pixels(out / f"{name}.png").shape
        assert 2 * 66 <= height < 200 and 3 * 66 <= width < 300
    # The figure of all directions has the first row of each.
    every = pixels(out / "directions.png")[-66 * len(names) :, -3 * 66 :]
    for name, row in zip(names, np.split(every, len(names)), strict=True):
        shown = pixels(out / f"{name}.png")[-2 * 66 : -66, -3 * 66 :]
        np.testing.assert_array_equal(row, shown)
    if "--layers=1-3" in arguments:
        assert "sefa_1: eigenvalue" in printed
        assert found.layers == (1, 2, 3)
    assert f"wrote {len(names)} directions and their figures to {out}" in printed
    assert f"--direction={out / names[0]}.safetensors --strength=2" in printed


def test_the_figure_has_the_edited_images(run, saved, tmp_path):
    run("--method=sefa", "--count=1")
    g = stylegan_jax.load(saved)
    found = g.direction(tmp_path / "out" / "sefa_1.safetensors")
    ws = g.map(g.z([0, 1]), ["a", "b"], truncation_psi=0.7)  # the classes in turn
    figure = pixels(tmp_path / "out" / "sefa_1.png").astype(int)
    for i, strength in enumerate((-2, 0, 2.5)):
        images = g.synthesize(g.edit(ws, found, strength))
        for j, image in enumerate(images):
            y = figure.shape[0] - (2 - j) * 66
            x = figure.shape[1] - (3 - i) * 66
            cell = figure[y : y + 64 : 4, x : x + 64 : 4]
            assert np.abs(cell - image).max() <= 1


def test_all_methods_are_declared():
    assert tuple(METHODS) == direction_module.METHODS
    assert set(METHODS) == set(directions.COMMAND.tables["Methods"])


def test_groups_of_files(run, saved, tmp_path):
    """Rows count through several files; labels in them take the place of lists."""
    g = stylegan_jax.load(saved)
    ws = np.asarray(g.map(g.z(range(6)), "a"))
    labels = np.array([0, 1, 1, 0, 0, 1])
    np.savez(tmp_path / "a.npz", ws=ws[:2], labels=labels[:2])
    np.savez(tmp_path / "b.npz", w=ws[2:], labels=labels[2:] > 0)
    np.savez(tmp_path / "c.npz", ws=ws)
    both = f"--latents={tmp_path / 'a.npz'},{tmp_path / 'b.npz'}"
    run("--method=difference", both)
    path = tmp_path / "out" / "difference.safetensors"
    first = g.direction(path).vector
    run(
        *("--method=difference", f"--latents={tmp_path / 'c.npz'}"),
        *("--positive=1,2,5", "--negative=0,3-4"),
    )
    np.testing.assert_array_equal(g.direction(path).vector, first)
    np.savez(tmp_path / "b.npz", w=ws[2:], labels=[0, 1, 2, 1])
    for latents, more, message in (
        (both, [], "must hold labels of the shape [4], each 0 or 1"),
        (f"{both.split(',')[0]},{tmp_path / 'c.npz'}", [], "1 of 2 files have no lab"),
        (both.split(",")[0], GROUPS[:2], "leave these out"),
        (
            f"--latents={tmp_path / 'c.npz'}",
            ["--positive=6", "--negative=0"],
            "rows 6 must be from 0 to 5",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            run("--method=difference", latents, *more)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method=magic"], "magic"),
        (["--method=sefa", "--layers=2,6"], "style layers [6] must be from 0 to 5"),
        (["--method=sefa", "--layers=x"], "layers (='x') must be numbers"),
        (["--method=sefa", "--count=9"], "directions (=9) must be from 1 to 8"),
        (
            ["--method=boundary", "--positive=1", "--negative=2", "--encoder=e"],
            "--encoder has no effect without --images=FOLDER",
        ),
        (["--method=sefa", "--positive=1"], "--positive has no effect on --method=se"),
        (["--method=sefa", "--strengths=1"], "`--strengths` (=1) must be at least two"),
        (["--method=sefa", "--strengths=0,nan"], "two increasing numbers"),
        (["--method=sefa", "--strengths=2,1"], "two increasing numbers"),
        (["--method=sefa", "--class=c"], "class (='c') must be one of a, b"),
        (["--method=sefa", "--label=1,x"], "must be 2 numbers"),
        (["--method=stylespace", "--channels=2"], "must be LAYER:CHANNEL"),
        (["--method=stylespace", "--channels=0:0", "--count=2"], "leave --count out"),
        (["--method=stylespace", "--channels=7:0"], "channel 7:0 must be one that"),
        (["--method=boundary"], "needs --positive=LIST and --negative=LIST"),
        (
            ["--method=boundary", "--positive=1,2", "--negative=2,3"],
            "may be on both, as 2",
        ),
        (["--method=boundary", "--positive=1", "--negative=2"], "at least two latents"),
        (["--method=boundary", *GROUPS[:2], "--name=a/b"], "`--name` (=a/b) must be"),
        (["--method=boundary", *GROUPS[:2], "--name=directions"], "of all directions"),
        (["--method=boundary", *GROUPS, "--latents=/no/x.npy"], "does not exist"),
    ],
)
def test_bad_input_writes_nothing(run, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run(*arguments)
    assert not (tmp_path / "out").exists()


def test_label_vectors_have_no_turns(run_main, tmp_path):
    network = small.network("stylegan2", ("a", "b"))
    path = tmp_path / "vectors.safetensors"
    file.save(dataclasses.replace(network, label_vectors=True), path)
    arguments = (f"--network={path}", f"--out={tmp_path / 'out'}", "--method=sefa")
    with pytest.raises(ValueError, match="give --label=NUMBERS, one for each of a, b"):
        run_main(directions, *arguments, *FEW)
    assert not (tmp_path / "out").exists()
    run_main(directions, *arguments, *FEW, "--label=0.5,1", "--count=1")
    assert (tmp_path / "out" / "directions.png").exists()


def test_a_file_in_place_of_the_folder(run_main, saved):
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="must be a folder, but it is a file"):
        run_main(directions, f"--network={saved}", "--method=sefa", f"--out={saved}")
    assert saved.read_bytes() == before


# --- edits --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(saved, tmp_path_factory):
    """Return a network and the paths of a direction of w and one of styles."""
    out = tmp_path_factory.mktemp("directions")
    g = stylegan_jax.load(saved)
    from stylegan_jax.sampling.directions import file as direction_file
    from stylegan_jax.sampling.directions import moments, principal, stylespace
    from stylegan_jax.sampling.directions.subject import Subject

    labels = lambda start, count: g.label("a", count)  # noqa: E731
    subject = Subject(
        g.generator,
        g.variables,
        "small",
        moments.w_moments(g.generator, g.variables, 50, labels),
        tuple(range(6)),
    )
    ws = np.asarray(g.map(g.z(0), "a"))
    for d in principal.sefa(subject, 2) + stylespace.stylespace(
        subject, 1, ws, [(1, 4)]
    ):
        direction_file.save(d, out / f"{d.name}.safetensors")
    names = ("sefa_1", "sefa_2", "stylespace_1_4")
    return g, *(out / f"{name}.safetensors" for name in names)


@pytest.fixture
def draw(run_main, saved, tmp_path):
    """Generate images of three seeds; return them."""

    def draw(*arguments):
        more = ("--seeds=4-6", "--class=b", *arguments)
        out = tmp_path / "images"
        run_main(generate, f"--network={saved}", f"--out={out}", *more)
        return np.stack([pixels(out / f"seed000{i}.png") for i in (4, 5, 6)])

    return draw


def assert_same(a, b):
    """Assert that images agree up to the rounding of other batches."""
    assert np.abs(a.astype(int) - b).max() <= 1


def test_generate_edits_as_python_does(found, draw):
    g, first, second, style = found
    ws = g.map(g.z("4-6"), "b", truncation_psi=0.7)
    images = draw(f"--direction={first}", "--strength=-2.5", "--direction_layers=0-2")
    edited = g.edit(ws, g.direction(first), -2.5, range(3))
    assert_same(images, g.synthesize(edited))
    assert np.any(images != g.synthesize(ws))
    images = draw(f"--direction={first},{style},{second}", "--strength=1,3,-2")
    edited = g.edit(g.edit(ws, g.direction(first)), g.direction(second), -2)
    assert_same(images, g.shift_styles(g.direction(style), 3).synthesize(edited))
    assert np.any(images != g.synthesize(edited))


def test_saved_ws_are_edited(found, run_main, saved, tmp_path):
    g, first, _, style = found
    more = ("--seeds=4", "--class=b", "--format=npz", f"--out={tmp_path / 'x'}")
    run_main(generate, f"--network={saved}", *more, f"--direction={first}")
    ws = g.map(g.z(4), "b", truncation_psi=0.7)
    saved_ws = np.load(tmp_path / "x" / "images.npz")["ws"]
    np.testing.assert_allclose(saved_ws, g.edit(ws, g.direction(first)), 0, 1e-5)
    with pytest.raises(ValueError, match="cannot express stylespace_1_4, a direction"):
        run_main(generate, f"--network={saved}", *more, f"--direction={style}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--direction=/no/file"], "`--direction` (=/no/file) does not exist"),
        (["--direction=FIRST,/no/file"], "`--direction` (=/no/file) does not exist"),
        (["--strength=2"], "--strength has no effect without --direction=FILE"),
        (["--direction_layers=0"], "--direction_layers has no effect without"),
        (["--direction=FIRST", "--strength=nan"], "(=nan) must be numbers from"),
        (["--direction=FIRST", "--strength=1001"], "(=1001) must be numbers from"),
        (["--direction=FIRST", "--strength=x"], "(=x) must be numbers from"),
        (["--direction=FIRST", "--strength=1:2"], "(=1:2) must be numbers from"),
        (["--direction=FIRST", "--strength=1,2"], "has 2 numbers for 1 directions"),
        (["--direction=FIRST", "--direction_layers=6"], "[6] must be from 0 to 5"),
        (["--direction=FIRST", "--direction_layers=a"], "must be numbers or incr"),
        (["--direction=STYLE", "--direction_layers=1"], "has no effect on"),
    ],
)
def test_wrong_edits_write_nothing(found, draw, tmp_path, arguments, message):
    _, first, _, style = found
    arguments = [
        a.replace("FIRST", str(first)).replace("STYLE", str(style)) for a in arguments
    ]
    with pytest.raises(ValueError, match=re.escape(message)):
        draw(*arguments)
    assert not (tmp_path / "images").exists()


def test_directions_of_another_network_are_refused(found, run_main, tmp_path):
    other = tmp_path / "other.safetensors"
    file.save(small.network("stylegan2"), other)
    arguments = (f"--network={other}", f"--direction={found[1]}")
    for module, out in ((generate, "x"), (interpolate, "x.webp")):
        with pytest.raises(ValueError, match="made for another network: small wi"):
            run_main(module, *arguments, f"--out={tmp_path / out}")
        assert not (tmp_path / out).exists()


@pytest.fixture
def video(run_main, saved, tmp_path):
    """Interpolate, four frames for each keyframe; return the frames."""

    def video(*arguments):
        out = tmp_path / "walk.webp"
        more = ("--class=b", "--frames=4", *arguments)
        run_main(interpolate, f"--network={saved}", f"--out={out}", *more)
        with Image.open(out) as image:
            frames = []
            for i in range(image.n_frames):
                image.seek(i)
                frames.append(np.asarray(image.convert("RGB")))
        return np.stack(frames)

    return video


def test_the_strength_moves_along_a_video(found, video):
    """One seed gives still frames with an edit that goes there and, if closed, back."""
    g, first, second, style = found
    frames = video("--seeds=5", f"--direction={first},{second}", "--strength=-3:3,1")
    ws = np.repeat(g.map(g.z(5), "b", truncation_psi=0.7), 8, axis=0)
    strengths = -3 * np.cos(2 * np.pi * np.arange(8) / 8)
    ws = g.edit(g.edit(ws, g.direction(first), strengths), g.direction(second), 1)
    assert_same(frames, g.synthesize(ws))
    frames = video(
        *("--seeds=5", f"--direction={style}", "--strength=0:4", "--loop=open"),
        "--noise=animated",
    )
    shown = video("--seeds=5,5", "--loop=open", "--noise=animated")
    assert_same(frames[0], shown[0])
    assert np.any(frames[1:] != shown[1:])
    frames = video("--seeds=5", f"--direction={style}", "--strength=0:4", "--loop=open")
    for i, frame in enumerate(frames):
        shifted = g.shift_styles(g.direction(style), float(i))
        assert_same(
            frame, shifted.synthesize(g.map(g.z(5), "b", truncation_psi=0.7))[0]
        )


def test_a_constant_strength_needs_two_keyframes(found, video):
    g, first, *_ = found
    frames = video("--seeds=1,2", f"--direction={first}", "--strength=2")
    ws = g.edit(g.map(g.z([1, 2]), "b", truncation_psi=0.7), g.direction(first), 2)
    assert_same(frames[::4], g.synthesize(ws))
    with pytest.raises(ValueError, match="must be at least 2, or nothing moves"):
        video("--seeds=1", f"--direction={first}", "--strength=2:2")
    with pytest.raises(ValueError, match="or START:END such as -3:3"):
        video("--seeds=1", f"--direction={first}", "--strength=1:2:3")
