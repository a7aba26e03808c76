"""How a tag's points fade: the presets, what they are called in words, and the curve. Pure Python.

Steps are `[[days, percent], ...]` with rising days: from that age on, that percent of the points is left.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from django.db import models

from tags.models import MAX_DAYS

MAX_HALF_LIFE = MAX_DAYS // 4  # the last of its steps comes after four half-lives
type_Steps = Sequence[Sequence[int]]


class Decay(models.TextChoices):
    """The ways to say how points fade; all of them end as steps."""

    NONE = "none", "Not at all"
    LINEAR = "linear", "Evenly to nothing"
    HALF_LIFE = "half-life", "By half, again and again"
    STEPS = "steps", "In steps of your own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Which way describes some steps; `days` of the linear and half-life ones, else 0."""

    decay: Decay
    days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """From day `first` until day `end` (None: for good), `percent` of the base is left: `points`."""

    first: int
    end: int | None
    percent: int
    points: int
    is_expired: bool


def linear(days: int) -> list[list[int]]:
    """Ten steps of -10 percent at ceil(i x days / 10) days; of steps on one day the last holds."""
    return _one_a_day([-(-i * days // 10), 100 - 10 * i] for i in range(1, 11))


def half_life(days: int) -> list[list[int]]:
    """Every days/2 days round(100 x 0.5^(k/2)) percent, k = 1..8, halves away from zero.

    Ages are whole days: half a day is rounded up.
    """
    # (isqrt(4x) + 1) // 2 rounds the root of x to the nearest whole number, exactly; x = 10,000 / 2^k.
    return _one_a_day([-(-k * days // 2), (isqrt(40_000 >> k) + 1) // 2] for k in range(1, 9))


def _one_a_day(steps: Any) -> list[list[int]]:
    return [[days, percent] for days, percent in {days: percent for days, percent in steps}.items()]  # noqa: C416


def preset_of(steps: type_Steps) -> Preset:
    """The preset that gives exactly these steps."""
    if not steps:
        return Preset(decay=Decay.NONE)
    last = steps[-1][0]
    plain = [list(step) for step in steps]
    if linear(last) == plain:
        return Preset(decay=Decay.LINEAR, days=last)
    if last % 4 == 0 and half_life(last // 4) == plain:
        return Preset(decay=Decay.HALF_LIFE, days=last // 4)
    return Preset(decay=Decay.STEPS)


def in_words(steps: type_Steps) -> str:
    """One line for people: "keeps its points", "halves every 60 days"."""
    preset = preset_of(steps)
    if preset.decay == Decay.NONE:
        return "keeps its points"
    if preset.decay == Decay.LINEAR:
        return f"evenly to 0 in {_days(preset.days)}"
    if preset.decay == Decay.HALF_LIFE:
        return f"halves every {_days(preset.days)}"
    return ", ".join(f"{percent}% from day {days:,}" for days, percent in steps)


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days:,} days"


def points_of(base: int, percent: int) -> int:
    """round(base x percent / 100), halves away from zero, as the engine rounds."""
    size = (abs(base) * percent * 2 + 100) // 200
    return size if base >= 0 else -size


def stretches(
    *, base: int, steps: type_Steps, expiration_days: int | None = None, expired_percent: int = 0
) -> list[Stretch]:
    """What a fresh assignment gives as it ages: stretches of one percent, the last without an end.

    From `expiration_days` on it is at most `expired_percent`: expiring never raises points, a residual keeps decaying.
    """
    starts = sorted({0, *(days for days, _ in steps), *([expiration_days] if expiration_days else [])})
    found: list[Stretch] = []
    for first, end in zip(starts, [*starts[1:], None], strict=True):
        percent = next((left for days, left in reversed(steps) if days <= first), 100)
        is_expired = expiration_days is not None and first >= expiration_days
        if is_expired:
            percent = min(percent, expired_percent)
        stretch = Stretch(first=first, end=end, percent=percent, points=points_of(base, percent), is_expired=is_expired)
        if found and (found[-1].percent, found[-1].is_expired) == (percent, is_expired):
            found[-1] = dataclasses.replace(found[-1], end=end)  # a step that takes nothing
        else:
            found.append(stretch)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A word on an axis of the picture, at `x` or `y`."""

    at: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The stretches as a picture, in units of its view box; the table behind it shows the stretches."""

    line: str
    area: str
    days: list[Mark]
    percents: list[Mark]
    expires: str
    stretches: list[Stretch]


# The picture's box and the part of it that holds the line.
WIDTH, HEIGHT = 400, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 392, 12, 162


def draw_curve(*, base: int, steps: type_Steps, expiration_days: int | None, expired_percent: int) -> Curve:
    """The curve of a tag: percent left over days, a little beyond its last change."""
    parts = stretches(base=base, steps=steps, expiration_days=expiration_days, expired_percent=expired_percent)
    last = parts[-1].first
    shown = last + max(1, round(last * 0.12)) if last else 365

    def x(days: int) -> str:
        return f"{LEFT + (RIGHT - LEFT) * days / shown:.1f}"

    def y(percent: int) -> str:
        return f"{BOTTOM - (BOTTOM - TOP) * percent / 100:.1f}"

    corners = [f"{x(part.first)} {y(part.percent)} H{x(part.end or shown)}" for part in parts]
    line = "M" + " L".join(corners)
    return Curve(
        line=line,
        area=f"{line} V{BOTTOM} H{LEFT} Z",
        days=[Mark(at=x(days), text=f"{days:,}") for days in (0, *_ticks(shown))],
        percents=[Mark(at=y(percent), text=f"{percent}%") for percent in (0, 50, 100)],
        expires=x(expiration_days) if expiration_days else "",
        stretches=parts,
    )


def _ticks(upto: int) -> list[int]:
    """Two to five round numbers of days up to `upto`."""
    width, factor = 1, 1
    while True:
        for unit in (1, 2, 3, 5):
            width = unit * factor
            if width * 5 >= upto:
                return list(range(width, upto + 1, width))
        factor *= 10


SPARK_WIDTH, SPARK_HEIGHT = 84, 22


def draw_sparkline(*, steps: type_Steps, expiration_days: int | None, expired_percent: int) -> Curve:
    """The curve small enough for a row of a table, without words; what it says stands beside it."""
    parts = stretches(base=100, steps=steps, expiration_days=expiration_days, expired_percent=expired_percent)
    last = parts[-1].first
    shown = last + max(1, round(last * 0.2)) if last else 1

    def x(days: int) -> str:
        return f"{1 + (SPARK_WIDTH - 2) * days / shown:.1f}"

    corners = [
        f"{x(part.first)} {1 + (SPARK_HEIGHT - 2) * (100 - part.percent) / 100:.1f} H{x(part.end or shown)}"
        for part in parts
    ]
    line = "M" + " L".join(corners)
    return Curve(
        line=line,
        area=f"{line} V{SPARK_HEIGHT - 1} H1 Z",
        days=[],
        percents=[],
        expires=x(expiration_days) if expiration_days else "",
        stretches=parts,
    )
