"""The statistical parser, asked only where the words themselves do not tell street from city."""

from functools import cache
from importlib import import_module
from typing import Any, Final

from leads.addresses.tables import words as word_set

_STREET_LABELS: Final = word_set(
    """
    AddressNumberPrefix AddressNumber AddressNumberSuffix StreetNamePreModifier StreetNamePreDirectional
    StreetNamePreType StreetName StreetNamePostType StreetNamePostDirectional SubaddressType
    SubaddressIdentifier OccupancyType OccupancyIdentifier USPSBoxType USPSBoxID USPSBoxGroupType
    USPSBoxGroupID
    """
)


@cache
def _parser() -> Any:
    # Loads its model: not before it is needed.
    return import_module("usaddress").parse


def city_start(words: list[str], tail: str) -> int | None:
    """Index of the first word of the city in `words`, which `tail` ("NJ 07030") follows; None if unclear.

    Uses the parser's labels word by word and not its ``tag``, which raises RepeatedLabelError on ordinary
    addresses.
    """
    try:
        labels = _parser()(" ".join([*words, tail]))
    except Exception:  # a foreign library on foreign text: no answer is an answer
        return None
    if [word.strip(",.()#&") for word, _ in labels[: len(words)]] != [word.strip(",.()#&") for word in words]:
        return None
    start = len(words)
    while start > 0 and labels[start - 1][1] == "PlaceName":
        start -= 1
    if start == len(words) or start == 0 or any(labels[i][1] not in _STREET_LABELS for i in range(start)):
        return None
    return start
