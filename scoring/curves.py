"""Pictures of scores in shares of their frame: where lines, dots, ticks and bars lie. Templates only draw them."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scoring.distribution import Bin, Distribution
from scoring.what_if import nice_width

TICKS = 4
MOST_DOTS = 40
LABELS = 6
LEAST_HEIGHT = 1.0
GAP = 0.05  # between bars, as a share of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A round value on an axis, and how far along it lies, such as "25.00%"."""

    value: int
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment below a curve. The first and the last one stand inside the frame."""

    at: dt.datetime
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    left: str
    top: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A step curve: SVG paths over a frame of 100 by 100, dots where it turns, ticks from the top down."""

    line: str
    area: str
    dots: list[Dot]
    ticks: list[Tick]
    marks: list[Mark]


def step_curve(
    *, steps: Sequence[tuple[dt.datetime, int]], first: dt.datetime, last: dt.datetime, parts: int = 3
) -> Curve:
    """`steps`: the moments, rising, and the score from each on; the first score holds from `first`.

    The frame spans `first` to `last`, in so many parts between the marks, and always holds the score 0.
    """
    span = (last - first).total_seconds() or 1.0
    ticks, low, high = value_axis(low=min(score for _, score in steps), high=max(score for _, score in steps))

    def across(at: dt.datetime) -> float:
        return min(max(100 * (at - first).total_seconds() / span, 0.0), 100.0)

    def down(score: int) -> float:
        return 100 * (high - score) / (high - low)

    path = [f"M0 {down(steps[0][1]):.2f}"]
    for at, score in steps[1:]:
        path.append(f"H{across(at):.2f}V{down(score):.2f}")
    path.append("H100")
    line = "".join(path)
    turns = steps[1:] if len(steps) <= MOST_DOTS else ()
    return Curve(
        line=line,
        area=f"{line}V{down(0):.2f}H0Z",
        dots=[Dot(left=f"{across(at):.2f}%", top=f"{down(score):.2f}%") for at, score in turns],
        ticks=ticks,
        marks=[
            Mark(at=first + (last - first) * part / parts, place=f"{100 * part / parts:.2f}%")
            for part in range(parts + 1)
        ],
    )


def value_axis(*, low: int, high: int) -> tuple[list[Tick], int, int]:
    """Round ticks from the top down over an axis that holds `low`, `high` and 0; then its two ends."""
    low, high = min(low, 0), max(high, 0)
    width = nice_width(high - low, bins=TICKS)
    bottom = low // width * width
    top = max(-(-high // width) * width, bottom + width)
    return (
        [
            Tick(value=value, place=f"{100 * (top - value) / (top - bottom):.2f}%")
            for value in range(top, bottom - 1, -width)
        ],
        bottom,
        top,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One bar of a histogram."""

    low: int
    high: int
    leads: int
    left: str
    width: str
    top: str
    height: str
    is_good: bool
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Bars from left to right, ticks of both axes, and where the threshold lies (empty: beyond the frame)."""

    columns: list[Column]
    ticks: list[Tick]
    labels: list[Tick]
    threshold_at: str


def histogram(*, found: Distribution, link: Callable[[Bin], str]) -> Histogram:
    """Each bin as a bar that leads to its leads."""
    bins = found.bins
    low, high, wide = bins[0].low, bins[-1].high, 100 / len(bins)
    ticks, _, top = value_axis(low=0, high=max(bin_.leads for bin_ in bins))
    columns = []
    for number, bin_ in enumerate(bins):
        # A single lead beside a million is still there to be seen.
        height = max(100 * bin_.leads / top, LEAST_HEIGHT) if bin_.leads else 0.0
        columns.append(
            Column(
                low=bin_.low,
                high=bin_.high,
                leads=bin_.leads,
                left=f"{wide * (number + GAP / 2):.3f}%",
                width=f"{wide * (1 - GAP):.3f}%",
                top=f"{100 - height:.2f}%",
                height=f"{height:.2f}%",
                is_good=bin_.low >= found.threshold,
                link=link(bin_) if bin_.leads else "",
            )
        )
    step = nice_width(high - low, bins=LABELS)
    return Histogram(
        columns=columns,
        ticks=ticks,
        labels=[
            Tick(value=value, place=f"{100 * (value - low) / (high - low):.2f}%")
            for value in range(-(-low // step) * step, high + 1, step)
        ],
        threshold_at=f"{100 * (found.threshold - low) / (high - low):.2f}%" if low <= found.threshold <= high else "",
    )
