"""Line charts as SVG text, without scripts or files to load."""

import dataclasses
import html
import math
from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 460, 240  # pixels
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 30  # margins around the plot
# Okabe and Ito's colors, which color-blind readers can distinguish.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")
TICKS = 5
NEAR_ZERO = 0.25  # x axes that would start below this fraction of their end start at 0
LABEL_PIXELS = 11  # width of the label of a mark


Range = tuple[float, float]
Place = Callable[[float, float], tuple[float, float]]  # a point -> its pixels


@dataclasses.dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
      name: name in the legend.
      points: (x, y) with increasing x; values that are not finite leave a gap.
    """

    name: str
    points: Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Mark:
    """A labeled vertical line, for example at the start of a stage."""

    x: float
    label: str


def chart(
    title: str, series: Sequence[Series], marks: Sequence[Mark] = (), unit: str = "kimg"
) -> str:
    """Return a chart as a <figure> element with its legend.

    Args:
      title: title above the plot.
      series: lines, with at least one finite point among them.
      marks: marks, of which those within the range of x are drawn.
      unit: unit of x.

    Raises:
      ValueError: if there is no finite point.
    """
    finite = [
        (x, y)
        for line in series
        for x, y in line.points
        if math.isfinite(x) and math.isfinite(y)
    ]
    if not finite:
        raise ValueError(f"chart {title!r} has no points with finite values")
    first, last = min(x for x, _ in finite), max(x for x, _ in finite)
    x_range = _widen(0.0 if 0 < first < NEAR_ZERO * last else first, last, 0.0)
    y_range = _widen(min(y for _, y in finite), max(y for _, y in finite), 0.05)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(title)}">',
        f'<text class="title" x="{LEFT}" y="14">{html.escape(title)}</text>',
        *_axes(x_range, y_range, unit, place),
        *_marks(marks, x_range, y_range, place),
        *(_line(line, COLORS[i % len(COLORS)], place) for i, line in enumerate(series)),
        "</svg>",
    ]
    legend = "".join(
        f'<span><i style="background:{COLORS[i % len(COLORS)]}"></i>'
        f"{html.escape(line.name)}</span>"
        for i, line in enumerate(series)
    )
    return f"<figure>{''.join(parts)}<figcaption>{legend}</figcaption></figure>"


def _axes(x_range: Range, y_range: Range, unit: str, place: Place) -> list[str]:
    """Return the grid lines and the labels of both axes."""
    parts, bottom = [], HEIGHT - BOTTOM
    for value in ticks(*y_range):
        y = place(x_range[0], value)[1]
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text class="tick" text-anchor="end" x="{LEFT - 6}" '
            f'y="{y + 3.5:.1f}">{value:.4g}</text>'
        )
    for value in ticks(*x_range):
        x = place(value, y_range[0])[0]
        parts.append(
            f'<text class="tick" text-anchor="middle" x="{x:.1f}" '
            f'y="{bottom + 14}">{value:.5g}</text>'
        )
    parts.append(
        f'<text class="tick" text-anchor="end" x="{WIDTH - RIGHT}" '
        f'y="{bottom + 26}">{html.escape(unit)}</text>'
    )
    return parts


def _marks(
    marks: Sequence[Mark], x_range: Range, y_range: Range, place: Place
) -> list[str]:
    """Return the marks within the range; labels that would overlap are left out."""
    parts, bottom = [], HEIGHT - BOTTOM
    free_from = 0.0  # pixels
    for mark in marks:
        if x_range[0] <= mark.x <= x_range[1]:
            x, label = place(mark.x, y_range[0])[0], html.escape(mark.label)
            parts.append(
                f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" '
                f'y2="{bottom}"><title>{label}</title></line>'
            )
            if x >= free_from and x + LABEL_PIXELS <= WIDTH - RIGHT:
                free_from = x + LABEL_PIXELS
                parts.append(
                    '<text class="stage" transform="translate('
                    f'{x + 3:.1f} {TOP}) rotate(90)">{label}</text>'
                )
    return parts


def ticks(low: float, high: float) -> list[float]:
    """Return about `TICKS` numbers in a range, 1, 2 or 5 times a power of ten apart."""
    step = 10.0 ** math.floor(math.log10((high - low) / TICKS))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= TICKS:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _line(line: Series, color: str, place: Place) -> str:
    """Return the line, broken where a value is missing, and its points."""
    path, pen_down, dots = [], False, []
    for x, y in line.points:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen_down = False
            continue
        px, py = place(x, y)
        path.append(f"{'L' if pen_down else 'M'}{px:.1f} {py:.1f}")
        pen_down = True
        dots.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.2" fill="{color}"><title>'
            f"{html.escape(line.name)} {y:.6g} at {x:.6g}</title></circle>"
        )
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="{color}" stroke-width="1.5"/>'
        + "".join(dots)
    )


def _widen(low: float, high: float, share: float) -> Range:
    """Return the range extended by a share of its length on both sides; never empty."""
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        room = abs(low) * 0.05 or 1.0
        return low - room, high + room
    room = share * (high - low)
    return low - room, high + room
