"""The map of territories: who holds which ZIP, and where leads wait for somebody to take theirs."""

import dataclasses
import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.core.cache import cache
from django.db import models
from django.urls import reverse

from scoring.distribution import THRESHOLD
from territories.geo.albers import FRAME, NATION_STEPS, STATE_STEPS
from territories.geo.counties import (
    Box,
    County,
    Place,
    State,
    counties_in_state,
    county_box,
    county_by_fips,
    county_of,
    place_of,
    states,
    zips_in_county,
    zips_in_state,
)
from territories.queries import Holder, Waiting, holders_by_zip, waiting_by_zip

KEPT = dt.timedelta(seconds=30)
COLOURS = 8  # contractors told apart by colour; the others share one
ELSEWHERE = "elsewhere"  # in the address: ZIPs of the state whose county nobody knows
WIDTH, HEIGHT = 1000, 620  # of the picture in pixels, where there is room
MARGIN = 0.06
HELD_RADIUS, FREE_RADII = 5, (3, 4.5, 6.5)  # in pixels


class Shown(models.TextChoices):
    """Which ZIPs are shown."""

    ALL = "all", "All"
    HELD = "held", "Held"
    FREE = "free", "Free, with leads waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for. `state` is two letters or "", `county` a FIPS number, ELSEWHERE or ""."""

    state: str = ""
    county: str = ""
    show: Shown = Shown.ALL
    contractor_id: int | None = None
    min_score: int = THRESHOLD

    def address(self, **changes: object) -> str:
        """The address that asks for this, or for this with some changes; it names only what is not usual."""
        asked = dataclasses.replace(self, **changes)  # type: ignore[arg-type]
        pairs = [
            ("state", asked.state),
            ("county", asked.county),
            ("show", "" if asked.show == Shown.ALL else asked.show.value),
            ("contractor", asked.contractor_id or ""),
            ("min_score", "" if asked.min_score == THRESHOLD else asked.min_score),
        ]
        query = urlencode([(name, value) for name, value in pairs if value != ""])
        return f"{reverse('territories:map')}?{query}" if query else reverse("territories:map")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A ZIP: who holds it, what waits in it. `colour` 1 to COLOURS, 0 of the others; `size` and `strength` 1 to 3."""

    zip: str
    place: Place | None
    county: County | None
    holder: Holder | None
    waiting: Waiting | None
    colour: int
    size: int
    strength: int

    @property
    def link(self) -> str:
        return f"/territories/zip/{self.zip}/"

    @property
    def has_position(self) -> bool:
        return self.place is not None and self.place.x is not None


@dataclass(slots=True, kw_only=True)
class Sum:
    """What the ZIPs of a state or county come to; `free` are free ones in which leads wait."""

    label: str
    link: str = ""
    code: str = ""
    held: int = 0
    free: int = 0
    leads: int = 0
    best_score: int | None = None

    def add(self, spot: Spot) -> None:
        if spot.holder:
            self.held += 1
        else:
            self.free += 1
        if spot.waiting:
            self.leads += spot.waiting.leads
            best = spot.waiting.best_score
            self.best_score = best if self.best_score is None else max(self.best_score, best)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A state or county: where its line is drawn from, and where it leads."""

    source: str
    id: str
    sum: Sum
    is_chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A ZIP on the map of a state; place and radius as SVG wants them."""

    spot: Spot
    x: str
    y: str
    radius: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Dots of one look, as the data of one path: they stand for themselves where there are too many to point at."""

    look: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A line of the legend: a contractor with its colour, and how many ZIPs it holds here."""

    colour: int
    label: str
    zips: int
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TerritoryMap:
    """All that the page shows. `as_of`: when the leads that wait were counted."""

    asked: Asked
    as_of: dt.datetime
    state: State | None
    county: County | None
    total: Sum
    view_box: str
    scale: float
    outlines: list[Outline]
    mesh: str
    clouds: list[Cloud]
    dots: list[Dot]
    spots: list[Spot]
    rows: list[Sum]
    keys: list[Key]
    sizes: tuple[int, int]
    unplaced: int

    @property
    def is_drawn(self) -> bool:
        """Whether the projection shows this part of the world."""
        return bool(self.view_box)


@dataclass(slots=True)
class _Found:
    """What the database says of the part that was asked for."""

    holders: Mapping[str, Holder]
    waiting: Mapping[str, Waiting]
    colours: Mapping[int, int] = field(default_factory=dict)


def territory_map(*, asked: Asked, at: dt.datetime) -> TerritoryMap:
    """The map of the country, of a state or of a county, by two queries; who holds what as of `at`.

    The leads that wait in the whole country are counted at most twice a minute.
    """
    everybody = holders_by_zip(at=at)
    colours = _colours(everybody.values(), asked.contractor_id)
    as_of = at
    if asked.state:
        zips = _zips_of(asked)
        holders = {zip_code: everybody[zip_code] for zip_code in zips if zip_code in everybody}
        waiting = waiting_by_zip(min_score=asked.min_score, zips=zips) if zips else {}
    else:
        holders = everybody
        as_of, waiting = _waiting_everywhere(asked.min_score, at)
    spots, sizes = _spots(asked, _Found(holders, waiting, colours))
    state = states().get(asked.state)
    county = county_by_fips(asked.county) if asked.county else None
    total = Sum(label=_label(asked, state, county))
    for spot in spots:
        total.add(spot)
    sums = _sums(asked, spots)
    box = _box(state, county)
    return TerritoryMap(
        asked=asked,
        as_of=as_of,
        state=state,
        county=county,
        total=total,
        view_box=_view_box(box) if box else "",
        scale=1 / STATE_STEPS if state else 1 / NATION_STEPS,
        outlines=_outlines(asked, state, sums),
        mesh="" if state else "counties",
        clouds=[] if state else _clouds(spots),
        dots=_dots(spots, _unit(box)) if state and box else [],
        spots=spots if asked.county else [],
        rows=[] if asked.county else [one for one in sums.values() if one.held or one.free],
        keys=_keys(asked, spots),
        sizes=sizes,
        unplaced=sum(not spot.has_position for spot in spots),
    )


def _zips_of(asked: Asked) -> list[str]:
    if asked.county == ELSEWHERE:
        return [zip_code for zip_code in zips_in_state(asked.state) if county_of(zip_code) is None]
    return zips_in_county(asked.county) if asked.county else zips_in_state(asked.state)


def _waiting_everywhere(min_score: int, at: dt.datetime) -> tuple[dt.datetime, dict[str, Waiting]]:
    """With a million leads the count reads a good part of the table: half a minute everybody gets the same one."""
    key = f"territories:waiting:1:{min_score}"
    found: tuple[dt.datetime, dict[str, Waiting]] | None = cache.get(key)
    # The age counts by the clock passed in; one that stands in the future comes from a clock that was put back.
    if found is not None and dt.timedelta(0) <= at - found[0] < KEPT:
        return found
    fresh = (at, waiting_by_zip(min_score=min_score))
    cache.set(key, fresh, timeout=KEPT.total_seconds())
    return fresh


def _colours(holders: Iterable[Holder], chosen: int | None) -> dict[int, int]:
    """The colour of each contractor that has one: those with most ZIPs of the country, whatever part is shown."""
    zips = Counter(holder.contractor_id for holder in holders)
    largest = sorted(zips, key=lambda one: (-zips[one], one))[:COLOURS]
    colours = {contractor: number for number, contractor in enumerate(largest, start=1)}
    if chosen is not None:
        colours.setdefault(chosen, COLOURS)
    return colours


def _spots(asked: Asked, found: _Found) -> tuple[list[Spot], tuple[int, int]]:
    """The ZIPs to show, in order, and from how many leads on a free one is drawn larger, and largest."""
    chosen = []
    for zip_code in sorted(found.holders.keys() | found.waiting.keys()):
        holder = found.holders.get(zip_code)
        if holder is None and asked.show == Shown.HELD:
            continue
        if holder and (asked.show == Shown.FREE or asked.contractor_id not in (None, holder.contractor_id)):
            continue
        chosen.append(zip_code)
    waiting = [found.waiting[zip_code] for zip_code in chosen if zip_code not in found.holders]
    sizes, strengths = _thirds(one.leads for one in waiting), _thirds(one.average_score for one in waiting)
    spots = []
    for zip_code in chosen:
        holder, there = found.holders.get(zip_code), found.waiting.get(zip_code)
        spots.append(
            Spot(
                zip=zip_code,
                place=place_of(zip_code),
                county=county_of(zip_code),
                holder=holder,
                waiting=there,
                colour=found.colours.get(holder.contractor_id, 0) if holder else 0,
                size=_rank(there.leads, sizes) if there else 1,
                strength=_rank(there.average_score, strengths) if there else 1,
            )
        )
    return spots, sizes


def _thirds(values: Iterable[int]) -> tuple[int, int]:
    """From which value on one belongs to the second third, and to the last."""
    ordered = sorted(values)
    if not ordered:
        return 0, 0
    return ordered[len(ordered) // 3], ordered[2 * len(ordered) // 3]


def _rank(value: int, thirds: tuple[int, int]) -> int:
    return 1 + sum(value >= one for one in thirds) if thirds[0] < thirds[1] else 2


def _label(asked: Asked, state: State | None, county: County | None) -> str:
    if state is None:
        return "United States"
    if asked.county == ELSEWHERE:
        return f"{state.name}, county unknown"
    return str(county) if county else state.name


def _sums(asked: Asked, spots: Sequence[Spot]) -> dict[str, Sum]:
    """What each state, or each county of the state, comes to; also those where there is nothing."""
    sums: dict[str, Sum]
    if asked.state:
        sums = {
            county.fips: Sum(label=county.name, code=county.fips, link=asked.address(county=county.fips))
            for county in counties_in_state(asked.state)
        }
    else:
        sums = {
            one.code: Sum(label=one.name, code=one.code, link=asked.address(state=one.code))
            for one in states().values()
        }
    for spot in spots:
        if asked.state:
            code = spot.county.fips if spot.county and spot.county.fips in sums else ELSEWHERE
            label, link = "County unknown", asked.address(county=ELSEWHERE)
        else:
            code = spot.place.state if spot.place and spot.place.state in sums else ELSEWHERE
            label, link = "Not in our list of ZIPs, or military", ""
        sums.setdefault(code, Sum(label=label, code=code, link=link)).add(spot)
    return sums


def _outlines(asked: Asked, state: State | None, sums: Mapping[str, Sum]) -> list[Outline]:
    if state is None:
        return [
            Outline(source="us", id=one.code, sum=sums[one.code]) for one in states().values() if one.box is not None
        ]
    if state.box is None:
        return []
    found = [
        Outline(source=state.code, id=f"c{fips}", sum=one, is_chosen=fips == asked.county)
        for fips, one in sums.items()
        if fips != ELSEWHERE
    ]
    # The line of the chosen one lies above its neighbours'.
    return sorted(found, key=lambda outline: outline.is_chosen)


def _clouds(spots: Iterable[Spot]) -> list[Cloud]:
    """One path for each look. Whole units are near enough where the country is a thousand of them wide."""
    points: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    for spot in spots:
        if spot.place is not None and spot.place.x is not None and spot.place.y is not None:
            look = f"held h{spot.colour}" if spot.holder else f"free s{spot.size} q{spot.strength}"
            points[look].add((round(spot.place.x), round(spot.place.y)))
    # What is held lies above what is free.
    return [
        Cloud(look=look, path="".join(f"M{x} {y}h0" for x, y in sorted(found)))
        for look, found in sorted(points.items())
    ]


def _dots(spots: Iterable[Spot], unit: float) -> list[Dot]:
    """Each ZIP by itself; what is held lies above what is free."""
    return [
        Dot(
            spot=spot,
            x=f"{spot.place.x:.2f}",
            y=f"{spot.place.y:.2f}",
            radius=f"{unit * (HELD_RADIUS if spot.holder else FREE_RADII[spot.size - 1]):.3g}",
        )
        for spot in sorted(spots, key=lambda one: (one.holder is not None, one.zip))
        if spot.place is not None and spot.place.x is not None and spot.place.y is not None
    ]


def _keys(asked: Asked, spots: Iterable[Spot]) -> list[Key]:
    zips: Counter[tuple[int, int, str]] = Counter()
    for spot in spots:
        if spot.holder:
            zips[spot.colour, spot.holder.contractor_id, spot.holder.company] += 1
    keys = [
        Key(colour=colour, label=company, zips=count, link=asked.address(contractor_id=contractor))
        for (colour, contractor, company), count in sorted(zips.items())
        if colour
    ]
    others = sum(count for (colour, _, _), count in zips.items() if not colour)
    companies = sum(1 for colour, _, _ in zips if not colour)
    if others:
        keys.append(Key(colour=0, label=f"{companies:,} other contractor{'' if companies == 1 else 's'}", zips=others))
    return keys


def _box(state: State | None, county: County | None) -> Box | None:
    if state is None:
        return 0, 0, *FRAME
    return county_box(county.fips) if county else state.box


def _view_box(box: Box) -> str:
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    margin = MARGIN * max(wide, high) if (wide, high) != FRAME else 0
    return f"{left - margin:.2f} {top - margin:.2f} {wide + 2 * margin:.2f} {high + 2 * margin:.2f}"


def _unit(box: Box) -> float:
    """What a pixel of the picture is in units of the frame."""
    left, top, right, bottom = box
    return max((right - left) / WIDTH, (bottom - top) / HEIGHT)
