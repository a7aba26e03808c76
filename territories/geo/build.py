"""Makes the files about ZIPs, counties and maps: `python -m territories.geo.build`.

Sources: the `zipcodes` package (requirements-dev.txt) and static/vendor/us-atlas. It writes zips.tsv, counties.tsv and
states.tsv beside itself, docs/zip-counties.md, and the outlines in static/maps. The same sources give the same bytes.

How a ZIP gets its county, the first that does:
1. by name: the county that `zipcodes` names, in the ZIP's state, is one of the atlas;
2. by an old name: the county has been renamed, split or merged since either source was made (RENAMED);
3. by position: `zipcodes` names no county, or none that exists there, and the position lies in a county of the state.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leads.addresses import normalize_state
from territories.geo.albers import NATION_STEPS, STATE_STEPS, project
from territories.geo.counties import Box, County, county_names
from territories.geo.topology import Ring, Topology, holds, read_topology, simplify

ROOT = Path(__file__).resolve().parent.parent.parent
ATLAS = "static/vendor/us-atlas"
NATION_TOLERANCE = 0.4  # in units of the frame: less than half a pixel where it is shown whole
FAR = 6.0  # units of the frame; a position farther outside its county than this (some 30 km) is an error

# What `zipcodes` calls a county -> the county of the atlas (edition 2017).
RENAMED = {
    ("AK", "Chugach Census Area"): "02261",  # both were split off Valdez-Cordova in 2019
    ("AK", "Copper River Census Area"): "02261",
    ("AK", "Prince of Wales-Outer Ketchikan Borough"): "02198",  # Prince of Wales-Hyder since 2008
}
TERRITORIES = {"United States Virgin Islands": "VI", "Commonwealth of the Northern Mariana Islands": "MP"}
STATE_NAMES = {"VI": "U.S. Virgin Islands", "MP": "Northern Mariana Islands"}

Files = dict[str, str]
Line = list[tuple[int, int]]  # in whole steps


@dataclass(frozen=True, slots=True)
class Zip:
    code: str
    city: str
    state: str
    county: str
    kind: str
    longitude: float
    latitude: float

    @property
    def has_position(self) -> bool:
        return bool(self.longitude or self.latitude)


@dataclass(frozen=True, slots=True)
class Atlas:
    """The counties by FIPS and by state and name; positions are looked up in longitude and latitude."""

    counties: Mapping[str, County]
    states: Mapping[str, tuple[str, str]]  # letters: (fips, name)
    by_name: Mapping[tuple[str, str], Sequence[str]]
    rings: Mapping[str, Sequence[Ring]]
    boxes: Mapping[str, Box]

    def at(self, zip_: Zip, fips: Iterable[str]) -> str:
        """The one of these counties in which a ZIP's position lies, else ""."""
        x, y = zip_.longitude, zip_.latitude
        for one in sorted(fips):
            left, low, right, high = self.boxes[one]
            if left <= x <= right and low <= y <= high and holds(self.rings[one], x, y):
                return one
        return ""

    def in_state(self, state: str) -> list[str]:
        return [one.fips for one in self.counties.values() if one.state == state]


def build(root: Path) -> Files:
    """What every file should hold, by its path below `root`."""
    ground = read_topology(root / ATLAS / "counties-10m.json")
    frame = read_topology(root / ATLAS / "counties-albers-10m.json")
    atlas = read_atlas(ground)
    shown = {shape.id for shape in frame.shapes["counties"]}
    zips = read_zips()
    matches = {one.code: match(atlas, one) for one in zips}
    places, lost = positions(zips, matches, frame)
    files = {
        "territories/geo/zips.tsv": _table(
            "zip fips city state x y matched_by",
            [
                [one.code, matches[one.code][0], one.city, one.state, *places[one.code], matches[one.code][1]]
                for one in zips
            ],
        ),
        "territories/geo/counties.tsv": _table(
            "fips name state left top right bottom",
            [[one.fips, one.name, one.state, *_edges(frame, "counties", one.fips)] for one in atlas.counties.values()],
        ),
        "territories/geo/states.tsv": _table(
            "state fips name left top right bottom",
            [[code, fips, name, *_edges(frame, "states", fips)] for code, (fips, name) in atlas.states.items()],
        ),
        "docs/zip-counties.md": report(atlas, zips, matches, lost, shown),
        "static/maps/us.svg": draw_nation(frame, atlas),
    }
    for code, (fips, _) in atlas.states.items():
        if any(one.startswith(fips) for one in shown):
            files[f"static/maps/{code}.svg"] = draw_state(frame, ground, code, fips)
    return files


# Reading the sources --------------------------------------------------------------------------------------------------


def read_zips() -> list[Zip]:
    import zipcodes

    rows: list[dict[str, Any]] = sorted(zipcodes.list_all(), key=lambda row: row["zip_code"])
    return [
        Zip(
            code=row["zip_code"],
            city=" ".join(row["city"].split()),
            state=row["state"],
            county=row["county"] or "",
            kind=row["zip_code_type"],
            longitude=float(row["long"] or 0),
            latitude=float(row["lat"] or 0),
        )
        for row in rows
    ]


def read_atlas(ground: Topology) -> Atlas:
    states = {}
    for shape in sorted(ground.shapes["states"], key=lambda shape: shape.name):
        code = TERRITORIES.get(shape.name) or normalize_state(shape.name)
        states[code] = (shape.id, STATE_NAMES.get(code, shape.name))
    code_of = {fips: code for code, (fips, _) in states.items()}
    shapes = sorted(ground.shapes["counties"], key=lambda shape: (code_of[shape.id[:2]], shape.name, shape.id))
    twins = defaultdict(list)
    for shape in shapes:
        twins[shape.id[:2], shape.name].append(shape.id)
    counties = {}
    by_name = defaultdict(list)
    for shape in shapes:
        state = code_of[shape.id[:2]]
        # Of two of one name the independent city has the higher number: those begin at 510.
        is_city = len(twins[shape.id[:2], shape.name]) > 1 and int(shape.id[2:]) >= 510
        counties[shape.id] = County(shape.id, f"{shape.name} (city)" if is_city else shape.name, state)
        for key in county_names(shape.name):
            by_name[state, key].append(shape.id)
    rings = {shape.id: ground.rings(shape) for shape in shapes}
    boxes = {fips: box_of(found) for fips, found in rings.items()}
    return Atlas(counties=counties, states=states, by_name=by_name, rings=rings, boxes=boxes)


def box_of(rings: Iterable[Ring]) -> Box:
    points = [point for ring in rings for point in ring]
    return (
        min(x for x, _ in points),
        min(y for _, y in points),
        max(x for x, _ in points),
        max(y for _, y in points),
    )


# Which county ---------------------------------------------------------------------------------------------------------


def match(atlas: Atlas, zip_: Zip) -> tuple[str, str]:
    """The county of a ZIP and by what it was found; both "" where it was not."""
    if zip_.county:
        if fips := _by_name(atlas, zip_):
            return fips, "name"
        if fips := RENAMED.get((zip_.state, zip_.county), ""):
            return fips, "old name"
    if zip_.has_position and (fips := atlas.at(zip_, atlas.in_state(zip_.state))):
        return fips, "position"
    return "", ""


def _by_name(atlas: Atlas, zip_: Zip) -> str:
    for key in county_names(zip_.county):
        found = atlas.by_name.get((zip_.state, key), [])
        if len(found) == 1:
            return found[0]
        if found:  # a county and an independent city of one name
            is_city = zip_.county.lower().endswith(" city")
            return next(fips for fips in found if (int(fips[2:]) >= 510) == is_city)
    return ""


# Where ----------------------------------------------------------------------------------------------------------------


def positions(
    zips: Sequence[Zip], matches: Mapping[str, tuple[str, str]], frame: Topology
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Each ZIP's place in the frame of the maps, and the ZIPs whose position was left out as an error."""
    boxes = {shape.id: box_of(frame.rings(shape)) for shape in frame.shapes["counties"]}
    found: dict[str, tuple[str, str]] = {}
    lost = []
    for one in zips:
        found[one.code] = ("", "")
        box = boxes.get(matches[one.code][0])
        if not one.has_position or box is None:
            continue
        x, y = project(one.state, one.longitude, one.latitude)
        if box[0] - FAR <= x <= box[2] + FAR and box[1] - FAR <= y <= box[3] + FAR:
            found[one.code] = (f"{x:.2f}", f"{y:.2f}")
        else:
            lost.append(one.code)
    return found, lost


def _edges(frame: Topology, kind: str, id_: str) -> list[str]:
    for shape in frame.shapes[kind]:
        if shape.id == id_:
            return [f"{edge:.2f}" for edge in box_of(frame.rings(shape))]
    return ["", "", "", ""]


# Drawing --------------------------------------------------------------------------------------------------------------


def draw_nation(frame: Topology, atlas: Atlas) -> str:
    """Outlines of the states, each by its two letters, and the county borders inside them ("counties")."""
    arcs = [simplify(arc, NATION_TOLERANCE) for arc in frame.arcs]
    outer = {arc for shape in frame.shapes["states"] for arc in shape.arcs()}
    inner = sorted({arc for shape in frame.shapes["counties"] for arc in shape.arcs()} - outer)
    code_of = {fips: code for code, (fips, _) in atlas.states.items()}
    paths = [
        _path(code_of[shape.id], [_steps(ring, NATION_STEPS) for ring in frame.rings(shape, arcs)], is_closed=True)
        for shape in sorted(frame.shapes["states"], key=lambda shape: shape.id)
    ]
    borders = stitch([_steps(arcs[arc], NATION_STEPS) for arc in inner])
    paths.append(_path("counties", borders, is_closed=False))
    return _svg(paths)


def draw_state(frame: Topology, ground: Topology, state: str, fips: str) -> str:
    """The counties of a state, each by "c" and its number, in full detail."""
    shapes = sorted((one for one in frame.shapes["counties"] if one.id[:2] == fips), key=lambda shape: shape.id)
    on_ground = {shape.id: shape for shape in ground.shapes["counties"]}
    paths = []
    for shape in shapes:
        lines = [_steps(ring, STATE_STEPS) for ring in frame.rings(shape)]
        if all(len(set(line)) < 3 for line in lines):
            # The atlas simplified three small cities of Virginia away, one of them on the ground too: its box serves.
            rings = [[project(state, *point) for point in ring] for ring in ground.rings(on_ground[shape.id])]
            if all(len(set(ring)) < 3 for ring in rings):
                left, top, right, bottom = box_of(rings)
                rings = [[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]]
            lines = [_steps(ring, STATE_STEPS) for ring in rings]
        paths.append(_path(f"c{shape.id}", lines, is_closed=True))
    return _svg(paths)


def stitch(lines: Sequence[Line]) -> list[Line]:
    """The lines, those that end where another begins as one: it saves a third of the file."""
    at: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for number, line in enumerate(lines):
        at[line[0]].append(number)
        at[line[-1]].append(number)
    left = set(range(len(lines)))
    found = []
    for number, line in enumerate(lines):
        if number not in left:
            continue
        left.remove(number)
        joined = list(line)
        while (follower := next((one for one in at[joined[-1]] if one in left), None)) is not None:
            left.remove(follower)
            more = lines[follower]
            joined += more[1:] if more[0] == joined[-1] else more[-2::-1]
        found.append(joined)
    return found


def _steps(line: Ring, steps: int) -> Line:
    """The line in whole steps, without points that fall together."""
    found: Line = []
    for x, y in line:
        point = (round(x * steps), round(y * steps))
        if not found or point != found[-1]:
            found.append(point)
    return found


def _path(id_: str, lines: Iterable[Line], *, is_closed: bool) -> str:
    parts = []
    for line in lines:
        points = line[:-1] if is_closed else line
        if len(points) < (3 if is_closed else 2):
            continue  # an islet of less than a step
        (x, y), text = points[0], []
        for next_x, next_y in points[1:]:
            text += [f"{next_x - x:+d}", f"{next_y - y:+d}"]
            x, y = next_x, next_y
        numbers = "".join(text).replace("+", " ").replace(" -", "-").strip()
        parts.append(f"M{points[0][0]} {points[0][1]}l{numbers}{'z' if is_closed else ''}")
    # A page draws these by <use>, which hands on everything but this.
    return f'<path id="{id_}" vector-effect="non-scaling-stroke" d="{"".join(parts)}"/>'


def _svg(paths: Iterable[str]) -> str:
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(paths) + "\n</svg>\n"


# Words ----------------------------------------------------------------------------------------------------------------


def report(
    atlas: Atlas, zips: Sequence[Zip], matches: Mapping[str, tuple[str, str]], lost: Sequence[str], shown: set[str]
) -> str:
    """What was matched by which rule, and every ZIP and county that was not."""
    by_rule: defaultdict[str, list[Zip]] = defaultdict(list)
    for one in zips:
        by_rule[matches[one.code][1]].append(one)
    unmatched = by_rule[""]
    military = [one for one in unmatched if one.kind == "MILITARY"]
    abroad = [one for one in unmatched if one.kind != "MILITARY" and one.state not in atlas.states]
    named = [one for one in unmatched if one not in military and one not in abroad and one.county]
    nowhere = [one for one in unmatched if one not in military and one not in abroad and not one.county]
    unplaced = [one for one in nowhere if not one.has_position]
    outside = [one for one in nowhere if one.has_position]
    reached = {fips for fips, _ in matches.values()}
    without = [one for one in atlas.counties.values() if one.fips not in reached]
    hidden = [one for one in zips if matches[one.code][0] and matches[one.code][0] not in shown]
    uncertain = [one for one in zips if matches[one.code][0] in shown and not one.has_position]
    lines = [
        "# ZIPs and counties",
        "",
        "Made by `python -m territories.geo.build` from the PyPI package `zipcodes` and from `us-atlas` (counties of",
        "2017, so Connecticut has its eight counties and not the planning regions of 2022). `zipcodes` knows one",
        "county a ZIP, though a ZIP may reach into several: pages show counties of ZIPs as approximate.",
        "",
        "| Found | ZIPs |",
        "| --- | ---: |",
        f"| by the county's name | {len(by_rule['name']):,} |",
        f"| by an old name of it | {len(by_rule['old name']):,} |",
        f"| by the ZIP's position | {len(by_rule['position']):,} |",
        f"| not at all | {len(unmatched):,} |",
        "",
        "## By an old name",
        "",
        *_grouped(by_rule["old name"], atlas, matches),
        "",
        "## By position",
        "",
        "`zipcodes` names no county, or one that is not in that state; the position lies in this one:",
        "",
        *_grouped(by_rule["position"], atlas, matches),
        "",
        "## ZIPs without a county",
        "",
        f"- Military mail, in no county ({len(military):,}): {_codes(military)}",
        f"- Freely associated states, which the atlas does not hold ({len(abroad):,}): {_codes(abroad)}",
        f"- A county that is not in that state, and a position outside it ({len(named):,}): {_codes(named)}",
        f"- No county and no position in the source ({len(unplaced):,}): {_codes(unplaced)}",
        f"- No county in the source, and a position in no county of the state ({len(outside):,}): {_codes(outside)}",
        "",
        "## ZIPs that are not on the map",
        "",
        "They stand in the tables.",
        "",
        f"- In territories, which the projection geoAlbersUsa does not show ({len(hidden):,}): "
        + ", ".join(
            f"{state} {sum(one.state == state for one in hidden):,}" for state in sorted({one.state for one in hidden})
        ),
        f"- No position in the source ({len(uncertain):,}): {_codes(uncertain)}",
        f"- A position more than some 30 km outside the county, taken as an error ({len(lost):,}): "
        + (", ".join(lost) or "none"),
        "",
        "## Counties without a ZIP",
        "",
        "No ZIP has most of its addresses there, or the source gives its ZIPs to a neighbour:",
        "",
        *(f"- {one.fips} {one}" for one in without),
    ]
    return "\n".join(lines) + "\n"


def _codes(zips: Iterable[Zip]) -> str:
    return ", ".join(one.code for one in zips) or "none"


def _grouped(zips: Iterable[Zip], atlas: Atlas, matches: Mapping[str, tuple[str, str]]) -> list[str]:
    groups: defaultdict[tuple[str, str, str], list[Zip]] = defaultdict(list)
    for one in zips:
        groups[one.state, one.county, matches[one.code][0]].append(one)
    return [
        f"- {state}, {county or 'no county'}: {fips} {atlas.counties[fips]} ({_codes(found)})"
        for (state, county, fips), found in sorted(groups.items())
    ]


def _table(head: str, rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("\t".join(row) for row in [head.split(), *rows]) + "\n"


def main(root: Path = ROOT) -> None:
    files = build(root)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    sys.stdout.write(f"Wrote {len(files)} files, {sum(len(text) for text in files.values()):,} characters.\n")


if __name__ == "__main__":
    main()
