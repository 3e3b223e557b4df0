"""README.md and docs/: commands work, files exist, the site has no warnings."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config
from tests.config.reading import read

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# The test that runs each program. Commands of other programs need a marker before their
# code block that names what tests lack: <!-- needs: a GPU -->.
RUN_BY = {
    "stylegan_jax.train": "tests/test_two_processes.py",
    "stylegan_jax.generate": "tests/test_front_doors.py",
    "stylegan_jax.interpolate": "tests/test_interpolate.py",
    "stylegan_jax.mix": "tests/test_front_doors.py",
    "stylegan_jax.figures": "tests/test_figures.py",
    "stylegan_jax.explore": "tests/test_explore.py",
    "stylegan_jax.directions": "tests/test_directions.py",
    "stylegan_jax.export": "tests/test_generate.py",
    "stylegan_jax.inspect": "tests/test_inspect.py",
    "stylegan_jax.convert": "tests/test_convert.py",
    "stylegan_jax.evaluate": "tests/test_evaluate.py",
    "stylegan_jax.prepare": "tests/data/preparation/test_prepare.py",
    "stylegan_jax.project": "tests/test_project.py",
    "stylegan_jax.tune": "tests/test_project.py",
    "stylegan_jax.encoder": "tests/test_project.py",
    "stylegan_jax.report": "tests/test_docs.py",
}
OTHERS = (None, "pip", "http.server")  # modules of others' commands
NO_SETTINGS = {"model.apply", "data.json", "model.safetensors"}
WORKDIR_PATHS = {"checkpoints/", "images/", "tensorboard/"}


class Command(NamedTuple):
    page: str
    words: list[str]
    needs: str | None

    @property
    def module(self) -> str | None:
        """The program of `python -m PROGRAM ...`."""
        is_module = self.words[:2] == ["python", "-m"]
        return self.words[2] if is_module else None


def blocks(text: str, languages: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """Return the code blocks of a Markdown page with the marker before each, if any."""
    pattern = r"(?:<!-- needs: (.*?) -->\n)?^```(\S*)\n(.*?)^```$"
    found = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    return [(code, needs or None) for needs, lang, code in found if lang in languages]


def commands(page: Path) -> list[Command]:
    return [
        Command(page.name, shlex.split(line, comments=True), needs)
        for code, needs in blocks(page.read_text(), ("bash", "sh", "shell", "console"))
        for line in re.split(r"\n|&&", code.replace("\\\n", " "))
        if shlex.split(line, comments=True)
    ]


COMMANDS = [command for page in PAGES for command in commands(page)]


def test_commands_are_found():
    text = (
        "<!-- needs: x -->\n```bash\na \\\n  b && c  # why\n```\n"
        "```python\nd\n```\n```bash\ne\n```\n"
    )
    assert blocks(text, ("bash",)) == [("a \\\n  b && c  # why\n", "x"), ("e\n", None)]
    programs = {command.module for command in COMMANDS}
    assert set(RUN_BY) <= programs
    assert len(COMMANDS) > 20


def test_every_command_is_run_by_a_test_or_states_its_needs():
    unknown = [c for c in COMMANDS if not c.needs and c.module not in RUN_BY]
    assert unknown == []
    for module, test in RUN_BY.items():
        # As a process, or in that of the test; as __main__ in the next test.
        name = module.removeprefix("stylegan_jax.")
        run = rf'"{module}"|\b(run_main|draw)\(\s*{name}\b'
        assert re.search(run, (ROOT / test).read_text()), module


WRONG = [
    ["stylegan_jax.generate", ["--workdir=x", "--out=y", "--sed=1"]],
    ["stylegan_jax.train", ["--config=configs/emoji.py", "--workdir=x", "--a=1"]],
    [
        "stylegan_jax.train",
        ["--config=configs/emoji.py", "--workdir=x", "--config.a=1"],
    ],
]


def test_flags_of_every_command_parse():
    right = [[c.module, c.words[3:]] for c in COMMANDS if c.module not in OTHERS]
    done = subprocess.run(
        [sys.executable, "-m", "tests.check_flags"],
        input=json.dumps(right + WRONG),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        timeout=300,
        check=True,
    )
    results = json.loads(done.stdout)
    assert len(results) == len(right) + len(WRONG)
    for command, (status, output) in zip(right, results, strict=False):
        assert status == 0, (command, output)
    for status, output in results[len(right) :]:
        assert status != 0
        assert "Unknown command line flag" in output or "unknown config key" in output


def experiments_named() -> list[tuple[str, tuple[str, ...]]]:
    """Return the config and the overrides of all commands that train."""
    found = []
    for command in COMMANDS:
        path = next((w for w in command.words if w.startswith("--config=")), None)
        if path and path.startswith("--config=configs/"):
            name = path.removeprefix("--config=configs/").replace(".py", "", 1)
            overrides = [w for w in command.words if w.startswith("--config.")]
            found.append((name, tuple(overrides)))
    return sorted(set(found))


@pytest.mark.parametrize(("name", "overrides"), experiments_named())
def test_experiments_are_valid(name, overrides):
    c = read(name, *overrides)
    if c.data.path == "":
        c.data.path = "/somewhere"
    config.parse(c)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_named_files_exist(page):
    text = page.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    names = re.findall(r"`((?:[a-z_0-9]+/)+(?:\w+\.(?:py|sh|sbatch|yaml))?)[`:]", prose)
    places = (page.parent, ROOT, ROOT / "stylegan_jax")
    missing = [
        name
        for name in {*links, *names} - WORKDIR_PATHS
        if not name.startswith("runs/")
        and not any((place / name).exists() for place in places)
    ]
    assert missing == []


def test_named_settings_exist():
    known = {name for name, _, _ in config.fields(config.Experiment())}
    sections = "|".join({name.partition(".")[0] for name in known})
    for page in PAGES:
        named = re.findall(rf"`(?:--config\.)?((?:{sections})\.\w+)", page.read_text())
        assert set(named) - known <= NO_SETTINGS, page.name


def test_every_config_is_listed():
    text = (ROOT / "docs" / "train.md").read_text()
    listed = re.findall(r"^\| `(configs/\w+\.py)", text, re.MULTILINE)
    files = {f"configs/{path.name}" for path in (ROOT / "configs").glob("*.py")}
    assert sorted(listed) == sorted(files)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


# --- running the recipes -------------------------------------------------------------

SMALLER = {
    "stylegan_jax.train": (
        "--config.training.total_kimg=0.032",
        "--config.training.batch_size=4",
        "--config.model.mbstd_group_size=4",
        "--config.model.channel_max=8",
        "--config.run.tick_kimg=0.016",
        "--config.run.grid_rows=2",
        "--config.run.grid_columns=2",
    ),
    "stylegan_jax.evaluate": ("--images=8", "--batch_size=4"),
}


@pytest.fixture
def place(tmp_path) -> Path:
    """A directory with a folder and a zip file of photos."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "photos").mkdir()
    rng = np.random.RandomState(0)
    with zipfile.ZipFile(tmp_path / "others.zip", "w") as others:
        for i in range(12):
            pixels = rng.randint(0, 256, (20 + i, 24, 3), np.uint8)
            path = tmp_path / "photos" / f"{i}.png"
            Image.fromarray(pixels).save(path)
            others.write(path, path.name)
    return tmp_path


@pytest.mark.slow
def test_readme_recipes_run(place):
    """Run them at 16x16 pixels instead of 256x256 and for few steps."""
    smileys = ["--config=configs/smileys.py", "--workdir=runs/smileys"]
    recipes = [["stylegan_jax.train", *smileys]] + [
        [c.module, *c.words[3:]]
        for c in COMMANDS
        if c.page == "README.md" and not c.needs
    ]
    assert len(recipes) == 12
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    for module, *arguments in recipes:
        arguments = [argument.replace("256", "16") for argument in arguments]
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments, *SMALLER.get(module, ())],
            capture_output=True,
            text=True,
            cwd=place,
            env=environment,
            timeout=600,
        )
        assert done.returncode == 0, (module, arguments, done.stderr)
    for path in ("runs/smileys/report.html", "runs/photos/config.json", "mixing.png"):
        assert (place / path).exists()
    assert len(list((place / "out").glob("seed*.png"))) == 64

    [(code, _)] = blocks((ROOT / "README.md").read_text(), ("python",))
    subprocess.run(
        [
            sys.executable,
            "-c",
            code + "assert images.shape == (4, 64, 64, 3), images.shape",
        ],
        cwd=place,
        env=environment,
        timeout=600,
        check=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("myst_nb") is None,
    reason="needs the packages of the extra `docs`: make setup EXTRAS=dev,docs",
)
def test_site_builds_without_warnings(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", tmp_path],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert "training.total_kimg" in (tmp_path / "settings.html").read_text()
