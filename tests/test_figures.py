"""The command `figures`, and `mix` with chosen layers, as users start them."""

import chex
import jax
import numpy as np
import pytest
from PIL import Image

from stylegan_jax import figures, mix, models
from stylegan_jax.commands.figures import FIGURES
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.networks import file
from stylegan_jax.networks.network import Network
from stylegan_jax.sampling import contributions
from tests import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")
PITCH = 66  # of images of 64 pixels


def saved(path, changes, classes=()):
    """Write a network of random variables to a file, and return it."""
    e = tiny.experiment(changes | {"data.conditional": bool(classes)})
    generator, _ = models.build(e.model, e.data, len(classes))
    labels = np.zeros((1, len(classes)), "f") if classes else None
    key, z = jax.random.key(0), np.zeros((1, 8), "f")
    random = np.random.RandomState(0)
    variables = jax.tree.map(
        lambda x: np.float32(random.randn(*x.shape)),
        jax.eval_shape(generator.init, key, z, labels),
    )
    network = Network(
        generator, variables, e, LevelOfDetail(16), classes, 10, 5, reference=str(path)
    )
    file.save(network, path)
    return network


@pytest.fixture(scope="module")
def growing(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "growing.safetensors"
    return saved(path, {}, ("cat", "dog"))


@pytest.fixture(scope="module")
def skip(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "skip.safetensors"
    changes = {"model.g_architecture": "skip", "model.d_architecture": "resnet"}
    return saved(path, changes | {"model.family": "stylegan2"})


@pytest.fixture
def draw(run_main, tmp_path):
    """Runs the command in this process; returns the pixels, and what it prints."""

    def run(module, network, *more):
        out = tmp_path / "new" / "a.png"
        arguments = (f"--network={network.reference}", f"--out={out}")
        printed = run_main(module, *arguments, *more)
        assert printed.endswith(f"wrote {out}\n")
        with Image.open(out) as image:
            return np.asarray(image), printed

    return run


def images(figure, rows, columns):
    """Return the images of a figure, [rows,columns,16,16,3]."""
    cells = figure[-rows * PITCH :, -columns * PITCH :]
    cells = cells.reshape(rows, PITCH, columns, PITCH, 3)[:, :64:4, :, :64:4]
    return cells.swapaxes(1, 2)


def close(actual, desired):
    assert abs(actual.astype(int) - desired).max() <= 1


def test_every_figure_is_drawn(draw, growing, skip):
    """With its own seeds, unless many images would be drawn."""
    few = {"stochastic": "0", "uncurated": "0-9", "contributions": "0-9"}
    few["average"] = "0"
    for name in FIGURES:
        network = skip if name == "contributions" else growing
        more = [f"--class={network.classes[0]}"] if network.classes else []
        more += [f"--seeds={few[name]}"] if name in few else []
        figure, _ = draw(figures, network, f"--figure={name}", *more)
        assert figure.ndim == 3 and figure.std() > 10


def test_the_flags_have_their_effects(draw, growing, skip):
    figure, _ = draw(
        *(figures, growing, "--figure=truncation", "--class=dog"),
        *("--seeds=3,7", "--psis=0.5,-2,0"),
    )
    shown = images(figure, 2, 3)
    for j, psi in enumerate((0.5, -2, 0)):
        expected = growing(seeds=[3, 7], label="dog", truncation_psi=psi)
        for i in range(2):
            close(shown[i, j], expected[i])

    figure, _ = draw(
        *(figures, growing, "--figure=noise", "--label=0.5,0.5"),
        *("--seeds=3", "--truncation_psi=0.9"),
    )
    options = {"seeds": 3, "label": [0.5, 0.5], "truncation_psi": 0.9}
    close(images(figure, 1, 4)[0, 1], growing(noise="none", **options)[0])

    _, printed = draw(figures, skip, "--figure=contributions", "--seeds=5-9")
    ws = skip.map(skip.z("5-9"), truncation_psi=0.7)
    found = contributions.contributions(skip.generator, skip.variables, ws)
    assert printed.splitlines()[:-1] == [
        f"{f'{r}x{r}':>9s} {share:6.1%}" for r, share in found.items()
    ]


def test_another_network_beside(draw, growing, skip):
    """The class is that of the first network, if the other has none."""
    arguments = ("--figure=average", "--seeds=3", "--class=cat", "--realizations=4")
    figure, printed = draw(
        figures, growing, *arguments, f"--beside={skip.reference}", "--truncation_psi=1"
    )
    assert [line.split()[0] for line in printed.splitlines()] == [
        *("growing", "skip", "wrote")
    ]
    shown = images(figure, 2, 3)
    close(shown[0, 0], growing(seeds=3, label="cat")[0])
    close(shown[1, 0], skip(seeds=3)[0])
    for path in (growing.reference, f"{growing.reference}x"):
        with pytest.raises((ValueError, OSError), match="beside|growing.safetensorsx"):
            draw(figures, growing, *arguments, f"--beside={path}")


def test_nearest_reads_the_training_data_or_others(draw, skip, tmp_path):
    (tmp_path / "others").mkdir()
    Image.fromarray(skip(seeds=2, truncation_psi=0.7)[0]).save(
        tmp_path / "others" / "planted.png"
    )
    arguments = ("--figure=nearest", "--seeds=2", "--neighbors=1")
    _, printed = draw(figures, skip, *arguments, f"--data={tmp_path / 'others'}")
    assert printed.startswith("seed 2: 0.0 of 255 from ")
    assert "planted.png" in printed.splitlines()[0]
    _, printed = draw(figures, skip, *arguments)
    assert "emoji64.zip/" in printed and len(printed.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--figure=noise", "--psis=1"],
            "--psis has no effect on the figure noise; le",
        ),
        (["--figure=truncation", "--truncation_psi=1"], "uses it: stochastic, noise, "),
        (["--figure=truncation", "--psis=1,,0"], "psis (='1,,0') must be numbers sep"),
        (["--figure=truncation", "--psis=nan"], "(=nan) must be a finite float32"),
        (["--figure=noise", "--beside=x"], "--beside has no effect on the figure no"),
        (["--figure=sticking", "--seeds=4"], "needs at least two seeds, not 1"),
        (["--figure=droplets"], "value should be one of <truncation|stochastic|"),
        ([], "--figure=FIGURE must be given; `python -m stylegan_jax.figures --help`"),
        (
            ["--figure=growth"],
            "this network does not grow: it has images of resolution",
        ),
        (["--figure=interpolations", "--seeds=4"], "needs at least two seeds, not 1"),
        (["--figure=noise", "--class=cat"], "class (='cat') was given to a network"),
    ],
)
def test_wrong_flags_are_refused(draw, skip, tmp_path, arguments, message):
    with pytest.raises(ValueError) as raised:
        draw(figures, skip, *arguments)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_unknown_training_data_are_told(monkeypatch, draw, skip):
    monkeypatch.setattr(figures, "open_real_images", lambda *_: None)
    with pytest.raises(ValueError, match="are not known; name images with --data=PATH"):
        draw(figures, skip, "--figure=nearest")


def test_images_have_their_places(draw, skip):
    figure, _ = draw(figures, skip, "--figure=uncurated", "--seeds=0-1")
    chex.assert_shape(figure, (PITCH, 2 * PITCH, 3))


# mix --layers


def test_mix_chosen_layers(draw, skip):
    figure, _ = draw(
        *(mix, skip, "--layers=0-1,4", "--row_seeds=1,2", "--column_seeds=3-5"),
        "--truncation_psi=1",
    )
    shown = images(figure, 3, 4)
    ws = np.asarray(skip.map(skip.z("1-5")))
    sides = skip.synthesize(ws)
    for j in range(3):
        close(shown[0, j + 1], sides[2 + j])
    for i in range(2):
        close(shown[i + 1, 0], sides[i])
        mixed = np.repeat(ws[i : i + 1], 3, axis=0)
        mixed[:, [0, 1, 4]] = ws[2:, [0, 1, 4]]
        for j, image in enumerate(skip.synthesize(mixed)):
            close(shown[i + 1, j + 1], image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--layers=0-6"],
            "style layers [6] must be from 0 to 5, the layers of images",
        ),
        (
            ["--row_seeds=3"],
            "--row_seeds belongs to the figure of chosen layers, which ",
        ),
        (
            ["--layers=0", "--fine_seeds=3"],
            "needs --layers=LIST and takes --row_seeds, --column_seeds; leave out "
            "--fine_seeds",
        ),
        (["--layers=x"], "layers (='x') must be numbers or increasing ranges"),
    ],
)
def test_wrong_layers_are_refused(draw, skip, tmp_path, arguments, message):
    with pytest.raises(ValueError) as raised:
        draw(mix, skip, *arguments)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []
