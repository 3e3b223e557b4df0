"""Line charts as SVG text: nothing to load, nothing to run."""

import dataclasses
import html
import math
from collections.abc import Sequence

WIDTH, HEIGHT = 460, 240  # pixels
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 30  # margins around the plot
# Colors that the color-blind can tell, too (Okabe and Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")
TICKS = 5
NEAR_ZERO = 0.25  # an x axis that would begin at less of its end begins at 0
LABEL_PIXELS = 11  # of room that the label of a mark takes


@dataclasses.dataclass(frozen=True)
class Series:
    """A line.

    Attributes:
      name: for the legend.
      points: (x, y), x rising; what is not finite leaves a gap.
    """

    name: str
    points: Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Mark:
    """A vertical line with a word, such as the beginning of a stage."""

    x: float
    label: str


def chart(
    title: str, series: Sequence[Series], marks: Sequence[Mark] = (), unit: str = "kimg"
) -> str:
    """An <svg> element.

    Args:
      title: above the plot.
      series: at least one point that is finite in all of them together.
      marks: drawn if they lie within.
      unit: of x.

    Raises:
      ValueError: there is no point to draw.
    """
    finite = [
        (x, y) for s in series for x, y in s.points if math.isfinite(x) and _ok(y)
    ]
    if not finite:
        raise ValueError(f"chart {title!r} has no points that are finite")
    first, last = min(x for x, _ in finite), max(x for x, _ in finite)
    x_range = _widened(0.0 if 0 < first < NEAR_ZERO * last else first, last, 0.0)
    y_range = _widened(min(y for _, y in finite), max(y for _, y in finite), 0.05)

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
    ]
    bottom = HEIGHT - BOTTOM
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
    labelled = 0.0  # up to where there are labels already
    for mark in marks:
        if x_range[0] <= mark.x <= x_range[1]:
            x, label = place(mark.x, y_range[0])[0], html.escape(mark.label)
            parts.append(
                f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" '
                f'y2="{bottom}"><title>{label}</title></line>'
            )
            if x >= labelled and x + LABEL_PIXELS <= WIDTH - RIGHT:
                labelled = x + LABEL_PIXELS
                parts.append(
                    '<text class="stage" transform="translate('
                    f'{x + 3:.1f} {TOP}) rotate(90)">{label}</text>'
                )
    for index, line in enumerate(series):
        color = COLORS[index % len(COLORS)]
        parts.append(_line(line, color, place))
    parts.append("</svg>")
    legend = "".join(
        f'<span><i style="background:{COLORS[i % len(COLORS)]}"></i>'
        f"{html.escape(line.name)}</span>"
        for i, line in enumerate(series)
    )
    return f"<figure>{''.join(parts)}<figcaption>{legend}</figcaption></figure>"


def ticks(low: float, high: float) -> list[float]:
    """About `TICKS` round numbers in a range: 1, 2 or 5 times a power of ten apart."""
    step = 10.0 ** math.floor(math.log10((high - low) / TICKS))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= TICKS:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _line(line: Series, color: str, place) -> str:
    """The line, broken where a value is missing, and its last value."""
    path, pen_down, dots = [], False, []
    for x, y in line.points:
        if not (math.isfinite(x) and _ok(y)):
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


def _ok(y: float) -> bool:
    return math.isfinite(y)


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    """The range with some room; never empty."""
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        room = abs(low) * 0.05 or 1.0
        return low - room, high + room
    room = share * (high - low)
    return low - room, high + room
