"""Where a place lies in the frame of us-atlas' Albers files: d3's geoAlbersUsa, scale 1300, translate (487.5, 305).

The contiguous states, Alaska and Hawaii have an equal-area conic projection each; the constants are those of d3-geo's
albers.js and albersUsa.js. Which of the three holds is told by the state here and by the frame there.
"""

import math
from collections.abc import Callable

Point = tuple[float, float]
SCALE, CENTRE = 1300.0, (487.5, 305.0)
FRAME = (975, 610)
NATION_STEPS, STATE_STEPS = 5, 100  # whole steps of static/maps in one unit of the frame: of us.svg, of a state's file


def _conic(
    *, parallels: Point, meridian: float, centre: Point, scale: float, shift: Point
) -> Callable[[float, float], Point]:
    """d3.geoConicEqualArea: `centre` is in degrees east of the meridian; `shift` is a share of the whole scale."""
    south, north = (math.radians(one) for one in parallels)
    n = (math.sin(south) + math.sin(north)) / 2
    c = 1 + math.sin(south) * (2 * n - math.sin(south))
    r0 = math.sqrt(c) / n

    def raw(east: float, latitude: float) -> Point:
        r = math.sqrt(c - 2 * n * math.sin(math.radians(latitude))) / n
        turn = n * math.radians(east)
        return r * math.sin(turn), r0 - r * math.cos(turn)

    k = SCALE * scale
    x0, y0 = raw(*centre)
    at_x, at_y = CENTRE[0] + SCALE * shift[0], CENTRE[1] + SCALE * shift[1]

    def project(longitude: float, latitude: float) -> Point:
        east = (longitude - meridian + 180) % 360 - 180
        x, y = raw(east, latitude)
        return at_x + k * (x - x0), at_y - k * (y - y0)

    return project


_CONTIGUOUS = _conic(parallels=(29.5, 45.5), meridian=-96, centre=(-0.6, 38.7), scale=1, shift=(0, 0))
_ELSEWHERE = {
    "AK": _conic(parallels=(55, 65), meridian=-154, centre=(-2, 58.5), scale=0.35, shift=(-0.307, 0.201)),
    "HI": _conic(parallels=(8, 18), meridian=-157, centre=(-3, 19.9), scale=1, shift=(-0.205, 0.212)),
}


def project(state: str, longitude: float, latitude: float) -> Point:
    """The place in the frame, of a state (two letters) that the frame shows."""
    return _ELSEWHERE.get(state, _CONTIGUOUS)(longitude, latitude)
