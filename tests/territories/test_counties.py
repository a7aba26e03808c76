"""Which county a ZIP lies in, and where: the committed files, and how they are made."""

import re
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings

from territories.geo import build
from territories.geo.albers import project
from territories.geo.counties import (
    County,
    counties_in_state,
    county_box,
    county_by_fips,
    county_of,
    find_counties,
    place_of,
    states,
    zips_in_county,
    zips_in_state,
)
from territories.geo.topology import holds, simplify

GEO = Path(settings.BASE_DIR) / "territories" / "geo"
ESSEX = County("34013", "Essex", "NJ")


def rows_of(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (GEO / name).read_text().splitlines()[1:]]


def test_a_zip_has_its_county_and_its_place() -> None:
    assert county_of("07102") == ESSEX
    assert str(ESSEX) == "Essex, NJ"
    place = place_of("07102")
    assert place is not None
    assert (place.city, place.state) == ("Newark", "NJ")
    assert place.x == pytest.approx(866.8, abs=0.2)
    assert place.y == pytest.approx(216.0, abs=0.2)


def test_an_unknown_zip_has_neither() -> None:
    for unknown in ("00000", "99999", "0710", "", "zip", "07102-1234"):
        assert county_of(unknown) is None
        assert place_of(unknown) is None


def test_military_mail_has_a_place_name_but_no_county_and_no_position() -> None:
    assert county_of("09012") is None
    place = place_of("09012")
    assert place is not None
    assert (place.state, place.x, place.y) == ("AE", None, None)


def test_a_county_has_its_zips_in_order() -> None:
    zips = zips_in_county("34013")
    assert zips == sorted(zips)
    assert {"07003", "07102", "07111"} <= set(zips)
    assert all(county_of(one) == ESSEX for one in zips)
    assert zips_in_county("99999") == zips_in_county("") == []
    zips.clear()
    assert zips_in_county("34013") != []  # what is given out is the caller's own


def test_a_state_has_its_zips_and_counties() -> None:
    assert set(zips_in_county("34013")) < set(zips_in_state("NJ"))
    assert len(counties_in_state("NJ")) == 21
    assert zips_in_state("") == zips_in_state("XX") == counties_in_state("XX") == []


@pytest.mark.parametrize(
    ("text", "fips"),
    [
        ("Essex, NJ", ["34013"]),
        ("essex county, new jersey", ["34013"]),
        (" 34013 ", ["34013"]),
        ("1001", ["01001"]),
        ("Essex", ["25009", "34013", "36031", "51057", "50009"]),
        ("St. Louis, MO", ["29189", "29510"]),
        ("Saint Louis County, MO", ["29189"]),
        ("St. Louis city, MO", ["29510"]),
        ("City of Baltimore, MD", ["24510"]),
        ("Baltimore (city), MD", ["24510"]),
        ("Dona Ana, NM", ["35013"]),
        ("Doña Ana County, NM", ["35013"]),
        ("Orleans Parish, LA", ["22071"]),
        ("LaSalle, IL", ["17099"]),
        ("La Salle, IL", ["17099"]),
        ("James City County, VA", ["51095"]),
        ("Carson City, NV", ["32510"]),
        ("Juneau City and Borough, AK", ["02110"]),
        ("Essex, ZZ", []),
        ("Atlantis, NJ", []),
        ("99999", []),
        (", NJ", []),
        ("", []),
    ],
)
def test_counties_are_found_as_people_write_them(text: str, fips: list[str]) -> None:
    assert [county.fips for county in find_counties(text)] == fips


def test_each_county_is_found_by_the_words_it_is_shown_with() -> None:
    for fips, *_ in rows_of("counties.tsv"):
        county = county_by_fips(fips)
        assert county is not None
        assert county in find_counties(str(county))


def test_the_files_hold_together() -> None:
    zips, counties = rows_of("zips.tsv"), rows_of("counties.tsv")
    codes = [row[0] for row in zips]
    assert codes == sorted(set(codes))
    assert len(codes) == 42_789
    assert all(len(code) == 5 and code.isdigit() for code in codes)
    fips = {row[0]: row[2] for row in counties}
    assert len(fips) == len(counties) == 3_231
    assert {row[1] for row in zips} - {""} <= set(fips)
    # A ZIP has a county exactly where it says how that was found, and a position only with a county.
    assert all(bool(row[1]) == bool(row[6]) for row in zips)
    assert all(row[1] for row in zips if row[4])
    assert all(fips[row[1]] == row[3] for row in zips if row[1])
    names = Counter((row[1], row[2]) for row in counties)
    assert [name for name, count in names.items() if count > 1] == []


def test_nearly_every_civil_zip_has_a_county_and_a_position() -> None:
    civil = [row for row in rows_of("zips.tsv") if row[3] not in ("AA", "AE", "AP")]
    assert sum(not row[1] for row in civil) == 59
    shown = {code for code, state in states().items() if state.box is not None}
    assert sum(row[3] in shown and not row[4] for row in civil) == 53


def test_positions_lie_in_or_by_their_county() -> None:
    far = [
        row[0]
        for row in rows_of("zips.tsv")
        if row[4]
        and (box := county_box(row[1])) is not None
        and not (box[0] - 6 <= float(row[4]) <= box[2] + 6 and box[1] - 6 <= float(row[5]) <= box[3] + 6)
    ]
    assert far == []


def test_every_state_on_the_map_has_its_outlines() -> None:
    maps = Path(settings.BASE_DIR) / "static" / "maps"
    nation = (maps / "us.svg").read_text()
    for state in states().values():
        drawn = maps / f"{state.code}.svg"
        assert drawn.exists() == (state.box is not None) == (f'<path id="{state.code}" ' in nation)
        if drawn.exists():
            text = drawn.read_text()
            assert all(
                re.search(rf'<path id="c{county.fips}" [^>]*d="M', text) for county in counties_in_state(state.code)
            )


@pytest.mark.parametrize(
    ("state", "longitude", "latitude", "x", "y"),
    [
        # What d3-geo's geoAlbersUsa().scale(1300).translate([487.5, 305]) gives.
        ("KS", -96.6, 38.7, 487.5, 305.0),
        ("NY", -74.006, 40.7128, 869.7188, 215.7405),
        ("AK", -149.9003, 61.2181, 112.2774, 544.2779),
        ("HI", -157.8583, 21.3069, 266.9599, 549.1904),
    ],
)
def test_the_projection_is_that_of_the_atlas(state: str, longitude: float, latitude: float, x: float, y: float) -> None:
    assert project(state, longitude, latitude) == (pytest.approx(x, abs=1e-4), pytest.approx(y, abs=1e-4))


def test_a_hole_is_outside() -> None:
    outer = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0), (0.0, 0.0)]
    hole = [(1.0, 1.0), (3.0, 1.0), (3.0, 3.0), (1.0, 3.0), (1.0, 1.0)]
    assert holds([outer, hole], 0.5, 2)
    assert not holds([outer, hole], 2, 2)
    assert not holds([outer, hole], 5, 2)


def test_simplifying_keeps_ends_and_corners() -> None:
    line = [(0.0, 0.0), (1.0, 0.01), (2.0, 0.0), (2.0, 2.0)]
    assert simplify(line, 0.1) == [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0)]
    assert simplify(line, 0.001) == line


def test_borders_are_joined_to_long_lines() -> None:
    assert build.stitch([[(0, 0), (1, 0)], [(5, 5), (6, 6)], [(2, 0), (1, 0)]]) == [
        [(0, 0), (1, 0), (2, 0)],
        [(5, 5), (6, 6)],
    ]


@pytest.mark.slow
def test_the_committed_files_are_what_the_script_makes() -> None:
    root = Path(settings.BASE_DIR)
    made = build.build(root)
    assert len(made) > 50
    changed = [name for name, text in made.items() if (root / name).read_text(encoding="utf-8") != text]
    assert changed == []
