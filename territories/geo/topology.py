"""Reading TopoJSON: borders that two counties share are one arc, so that simplifying keeps them together."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Point = tuple[float, float]
Ring = list[Point]


@dataclass(frozen=True, slots=True)
class Shape:
    """A county or state: its polygons, each an outer ring and its holes, as arcs (`~n` is arc n backwards)."""

    id: str
    name: str
    polygons: list[list[list[int]]]

    def arcs(self) -> set[int]:
        return {arc if arc >= 0 else ~arc for polygon in self.polygons for ring in polygon for arc in ring}


@dataclass(frozen=True, slots=True)
class Topology:
    arcs: list[Ring]
    shapes: dict[str, list[Shape]]

    def rings(self, shape: Shape, arcs: Sequence[Ring] | None = None) -> list[Ring]:
        """The rings of a shape, closed (first point = last), from `arcs` where those are simplified ones."""
        return [self.join(ring, arcs) for polygon in shape.polygons for ring in polygon]

    def join(self, ring: Sequence[int], arcs: Sequence[Ring] | None = None) -> Ring:
        source = self.arcs if arcs is None else arcs
        points: Ring = []
        for arc in ring:
            line = source[arc] if arc >= 0 else source[~arc][::-1]
            points += line[1:] if points else line
        return points


def read_topology(path: Path) -> Topology:
    """Decode a file of quantised arcs."""
    found = json.loads(path.read_text(encoding="utf-8"))
    (kx, ky), (dx, dy) = found["transform"]["scale"], found["transform"]["translate"]
    arcs = []
    for coded in found["arcs"]:
        x = y = 0
        line = []
        for step_x, step_y in coded:
            x += step_x
            y += step_y
            line.append((x * kx + dx, y * ky + dy))
        arcs.append(line)
    shapes = {
        kind: [
            Shape(
                id=one["id"],
                name=one["properties"]["name"],
                polygons={"Polygon": [one.get("arcs")], "MultiPolygon": one.get("arcs")}.get(one["type"]) or [],
            )
            for one in found["objects"][kind]["geometries"]
        ]
        for kind in ("counties", "states")
    }
    return Topology(arcs=arcs, shapes=shapes)


def holds(rings: Sequence[Ring], x: float, y: float) -> bool:
    """Whether a point lies inside rings, by the even-odd rule."""
    inside = False
    for ring in rings:
        for (x1, y1), (x2, y2) in itertools.pairwise(ring):
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
                inside = not inside
    return inside


def simplify(line: Ring, tolerance: float) -> Ring:
    """The line without points that lie closer than `tolerance` to what is left (Douglas and Peucker)."""
    kept = {0, len(line) - 1}
    spans = [(0, len(line) - 1)]
    while spans:
        first, last = spans.pop()
        (x1, y1), (x2, y2) = line[first], line[last]
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        worst, where = tolerance, 0
        for at in range(first + 1, last):
            x, y = line[at]
            if length:
                away = abs((x2 - x1) * (y1 - y) - (x1 - x) * (y2 - y1)) / length
            else:
                away = ((x - x1) ** 2 + (y - y1) ** 2) ** 0.5
            if away > worst:
                worst, where = away, at
        if where:
            kept.add(where)
            spans += [(first, where), (where, last)]
    return [line[at] for at in sorted(kept)]
