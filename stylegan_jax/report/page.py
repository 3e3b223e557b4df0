"""A run as one HTML file: curves, images over time, metrics, settings."""

import base64
import html
import io
import json
import re
from collections import defaultdict
from typing import Any

from etils import epath

from stylegan_jax.metrics.results import (
    ComparisonKey,
    comparison_key,
    disambiguating_labels,
)
from stylegan_jax.report import charts
from stylegan_jax.report.charts import Mark, Series
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.logger import LOG

FILE = "report.html"
METRICS = "metrics.jsonl"
MAX_GRIDS = 60  # more are thinned evenly
MAX_POINTS = 400  # of a line; more are thinned evenly
GRID_PIXELS = 960  # larger grids are scaled down

# Title of a chart -> pattern of the names of its lines.
GROUPS = {
    "Losses": r"/loss$",
    "Discriminator scores": r"^[dg]_\w+/score_\w+$",
    "Penalties": r"/(\w*penalty|drift)$",
    "Augmentation": r"^progress/augment_probability$|/sign_real$",
    "Overfitting: scores of held-out images (r_v)": r"^overfitting/r_v$",
    "Distance to training images and variety (1: as real images)": (
        r"^overfitting/(nearest|variety)$"
    ),
    "Scores without augmentation": r"^overfitting/score_\w+$",
    "Path length": r"/length(_mean)?$",
    "Gradient norms": r"/gradient_norm$",
    "Share of each resolution in the image": r"/contribution_\d+$",
    "Images per second": r"^progress/images_per_second$",
    "Share of time spent waiting for data": r"^progress/data_wait$",
    "Learning rate": r"^progress/learning_rate$",
    "Fade-in of the newest resolution": r"^progress/fade$",
    "Skipped updates": r"/skipped_total$",
}
# Charts that are replaced by a sentence while they have a single value.
OFTEN_CONSTANT = (
    "Learning rate",
    "Fade-in of the newest resolution",
    "Skipped updates",
)

STYLE = """
:root { color-scheme: light; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1480px;
  padding: 0 1em; color: #222; background: #fff; }
h1 { font-size: 1.5em; margin: 0; overflow-wrap: anywhere; }
h2, summary { font-size: 1.15em; font-weight: 600; margin: 1.6em 0 .4em; }
summary { cursor: pointer; }
.charts, .pictures { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(420px, 100%), 1fr)); }
.pictures { grid-template-columns: repeat(auto-fill, minmax(min(560px, 100%), 1fr)); }
figure { margin: 0; border: 1px solid #ddd; border-radius: 4px; padding: 6px; }
figcaption span { margin-right: 1em; font-size: 12px; white-space: nowrap; }
figcaption i { display: inline-block; width: 10px; height: 10px; margin-right: 4px; }
.chart { width: 100%; display: block; } .title { font-weight: 600; font-size: 13px; }
.tick { font-size: 10px; fill: #666; } .grid { stroke: #eee; }
.mark { stroke: #bbb; stroke-dasharray: 3 3; }
.stage { font-size: 9px; fill: #888; paint-order: stroke; stroke: #fff;
  stroke-width: 3px; }
.pictures p { margin: 0 0 6px; } .pictures img { width: 100%; border: 1px solid #ddd; }
#when { width: 100%; } #label { font-variant-numeric: tabular-nums; }
.results { max-height: 480px; overflow: auto; }
table { border-collapse: collapse; } td, th { padding: 2px 12px 2px 0;
  text-align: left; vertical-align: top; } td { font-variant-numeric: tabular-nums; }
pre { background: #f6f6f6; padding: 8px; overflow-x: auto; font-size: 12px; }
"""
SCRIPT = """
const grids = JSON.parse(document.getElementById('grids').textContent);
const slider = document.getElementById('when');
function show() {
  const chosen = grids[Number(slider.value)];
  document.getElementById('grid').src = chosen.image;
  document.getElementById('label').textContent = chosen.label;
}
slider.addEventListener('input', show);
show();
"""


def write(workdir: epath.Path) -> epath.Path:
    """Write `report.html` into a run's directory and return its path.

    Raises:
      ValueError: if the directory is not that of a run.
    """
    if not (workdir / LOG).exists():
        raise ValueError(
            f"{workdir} has no {LOG}, so it is not the directory of a run; use the "
            "--workdir of a training run"
        )
    target = workdir / FILE
    content = page(workdir).encode("utf-8", "backslashreplace")
    storage.write_atomically(target, content)
    return target


def page(workdir: epath.Path) -> str:
    """Return the report as self-contained HTML."""
    rows, results = read_rows(workdir / LOG), read_rows(workdir / METRICS)
    name = html.escape(str(workdir))
    sections = [
        f"<h1>{name}</h1>{_summary(rows)}{_warnings(rows)}",
        _curves(rows, results),
        _grids(workdir / "images"),
        _results(results),
        _settings("Configuration", workdir / "config.json"),
        _settings("Data", workdir / "data.json"),
        _settings("Environment of each start", workdir / "environment.json"),
    ]
    return document(name, "".join(sections))


def document(title: str, body: str) -> str:
    """Return a self-contained HTML document.

    Args:
      title: its title, as HTML.
      body: its content, as HTML.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}'
        f"</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def read_rows(path: epath.Path) -> list[dict[str, Any]]:
    """Read the complete rows of a JSONL file; none if the file is missing."""
    rows = []
    content = path.read_bytes() if path.exists() else b""
    for line in content.decode("utf-8", "backslashreplace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _summary(rows: list[dict[str, Any]]) -> str:
    ticks = [row for row in rows if "tick" in row]
    if not ticks:
        return "<p>No tick has ended yet.</p>"
    last = ticks[-1]
    hours = float(last.get("progress/training_seconds", 0)) / 3600
    return (
        f"<p>{last['kimg']:g} kimg, stage {html.escape(str(last.get('stage')))}, "
        f"{hours:.2f} hours of training</p>"
    )


def _warnings(rows: list[dict[str, Any]]) -> str:
    """Return the warnings of the run, such as of a collapse, the newest first."""
    found = [row for row in rows if row.get("event") == "warning"]
    lines = "".join(
        f"<li>{_cell(row.get('kimg'))} kimg: {_cell(row.get('message'))}</li>"
        for row in found[::-1]
    )
    return f"<h2>Warnings</h2><ul>{lines}</ul>" if found else ""


def _curves(rows: list[dict[str, Any]], results: list[dict[str, Any]]) -> str:
    """Return all charts; if a restart repeated points, the last ones are drawn."""
    lines: dict[str, dict[float, float]] = defaultdict(dict)
    marks: dict[str, Mark] = {}
    for row in rows:
        if "images_seen" not in row:
            continue
        x = row["images_seen"] / 1000
        stage = row.get("stage")
        if stage is not None and stage not in marks:
            marks[stage] = Mark(x, str(stage))
        for name, value in row.items():
            if "/" in name and isinstance(value, (int, float, str)):
                lines[name][x] = _number(value)
    shown = list(marks.values()) if len(marks) > 1 else []
    # The log also has the metrics, but not their settings.
    lines = {k: v for k, v in lines.items() if not k.startswith("metrics/")}
    for clock in ("training", "compile"):
        lines.pop(f"progress/{clock}_seconds", None)
    parts = [_chart(name, of, shown) for name, of in _metrics(results).items()]
    constant = []
    for title, pattern in GROUPS.items():
        group = {k: lines.pop(k) for k in sorted(lines) if re.search(pattern, k)}
        values = {value for line in group.values() for value in line.values()}
        if title in OFTEN_CONSTANT and len(values) == 1:
            constant.append(f"{title}: {values.pop():.6g}.")
        else:
            parts.append(_chart(title, group, shown))
    parts += [_chart(name, {name: line}, shown) for name, line in sorted(lines.items())]
    return (
        f'<h2>Curves</h2><div class="charts">{"".join(parts)}</div>'
        f"<p>{' '.join(constant)}</p>"
    )


def _metrics(
    results: list[dict[str, Any]],
) -> dict[str, dict[str, dict[float, float]]]:
    """Return metric -> line -> kimg -> value, a line for each of its settings."""
    found: dict[str, dict[ComparisonKey, dict[float, float]]] = {}
    for row in results:
        if row.keys() >= {"name", "value"} and row.get("kimg") is not None:
            key = comparison_key(row)
            points = found.setdefault(str(row["name"]), {}).setdefault(key, {})
            points[row["kimg"]] = _number(row["value"])
    return {
        name: dict(zip(disambiguating_labels(list(lines)), lines.values(), strict=True))
        for name, lines in sorted(found.items())
    }


def _chart(title: str, lines: dict[str, dict[float, float]], marks: list[Mark]) -> str:
    series = [
        Series(name, _thin_out(sorted(points.items()), MAX_POINTS))
        for name, points in lines.items()
    ]
    try:
        return charts.chart(title, series, marks)
    except ValueError:  # nothing finite to draw
        return ""


def _grids(folder: epath.Path) -> str:
    """Return the grids of generated images with a slider, and that of real images."""
    if not folder.exists():
        return ""
    fakes = sorted(folder.glob("fakes-*.png"), key=lambda path: path.name)
    reals = sorted(folder.glob("reals-*.png"), key=lambda path: path.name)
    if not fakes:
        return ""
    grids = [
        {"label": f"{_kimg(path.name):g} kimg", "image": _data_uri(path)}
        for path in _thin_out(fakes, MAX_GRIDS)
    ]
    last = len(grids) - 1
    real_images = "".join(
        f'<div><p>Real images</p><img alt="real images" src="{_data_uri(path)}"></div>'
        for path in reals[:1]
    )
    return (
        '<h2>Images of the same latents</h2><div class="pictures"><div><p>'
        f'<label for="when">Generated at <span id="label">{grids[last]["label"]}</span>'
        '</label></p><img id="grid" alt="generated images" '
        f'src="{grids[last]["image"]}"><input id="when" type="range" min="0" '
        f'max="{last}" value="{last}"></div>{real_images}</div>'
        f'<script id="grids" type="application/json">{json.dumps(grids)}</script>'
        f"<script>{SCRIPT}</script>"
    )


def _results(rows: list[dict[str, Any]]) -> str:
    """Return `metrics.jsonl` as a table."""
    if not rows:
        return ""
    columns = (
        *("name", "value", "standard_error", "images_real", "images_generated"),
        *("kimg", "seed", "truncation_psi", "detector", "time"),
    )
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(row.get(c))}</td>' for c in columns)}</tr>"
        for row in rows
    )
    return (
        '<h2>Metrics</h2><div class="results">'
        f"<table><tr>{head}</tr>{body}</table></div>"
    )


def _settings(title: str, path: epath.Path) -> str:
    if not path.exists():
        return ""
    content = path.read_bytes().decode("utf-8", "backslashreplace")
    text = html.escape(content.strip())
    return f"<details><summary>{title}</summary><pre>{text}</pre></details>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return html.escape(f"{value:.6g}" if isinstance(value, float) else str(value))


def _number(value: float | str) -> float:
    """Convert a number of the log, where "nan" and "inf" are strings."""
    try:
        return float(value)
    except ValueError:
        return float("nan")


def _thin_out(items: list, count: int) -> list:
    """Return at most `count` items, evenly spaced, with the first and the last."""
    if len(items) <= count:
        return items
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _kimg(name: str) -> float:
    """Return the kimg in a file name such as "fakes-000040.500.png"."""
    found = re.search(r"-(\d+)\.(\d+)\.png$", name)
    return int(found[1]) + int(found[2]) / 1000


def _data_uri(path: epath.Path) -> str:
    """Return an image as a data URI, in WebP, which takes a fraction of a PNG."""
    from PIL import Image  # only needed for the report

    with Image.open(io.BytesIO(path.read_bytes())) as image:
        picture = image.convert("RGBA" if image.mode == "RGBA" else "RGB")
    picture.thumbnail((GRID_PIXELS, GRID_PIXELS))
    out = io.BytesIO()
    picture.save(out, format="WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
