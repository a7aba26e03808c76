"""Where a ZIP lies, in words, and the ZIPs of a county or state; as approximate as `territories.geo.counties` is."""

from territories.geo import counties as geo
from territories.geo.counties import County


class CountyRefused(Exception):
    """No county, or several, go by this name."""


def place_of_zip(zip_code: str) -> str:
    """City, county and state such as "Hoboken · Hudson, NJ"; blank where the ZIP is unknown."""
    place, county = geo.place_of(zip_code), geo.county_of(zip_code)
    city = place.city.title() if place and place.city else ""
    where = f"{county.name}, {county.state}" if county else (place.state if place else "")
    return " · ".join(filter(None, [city, where]))


def in_words(county: County) -> str:
    return f"{county.name}, {county.state}"


def find_county(text: str) -> County:
    """The county that a person means by a name or a FIPS number. Raises CountyRefused."""
    counties = geo.find_counties(text)
    if not counties:
        raise CountyRefused(f"No county is called “{text[:60]}”. Write it such as Essex, NJ, or as its FIPS number.")
    if len(counties) > 1:
        names = ", ".join(map(in_words, counties[:8]))
        more = f" and {len(counties) - 8} more" if len(counties) > 8 else ""
        raise CountyRefused(f"“{text[:60]}” may be {names}{more}. Add the state.")
    return counties[0]


def zips_of_county(text: str) -> tuple[str, list[str]]:
    """The county that a person means, in words, with its ZIPs. Raises CountyRefused."""
    county = find_county(text)
    zips = geo.zips_in_county(county.fips)
    if not zips:
        raise CountyRefused(f"No ZIP is known to lie in {in_words(county)}. Name the ZIPs themselves.")
    return in_words(county), list(zips)


def zips_of_state(code: str) -> list[str]:
    """The ZIPs of a state by its two letters; none where it is unknown."""
    return list(geo.zips_in_state(code.upper()))


def states_to_choose() -> list[tuple[str, str]]:
    """(two letters, name) of each state, by name."""
    return [(code, state.name) for code, state in geo.states().items()]
