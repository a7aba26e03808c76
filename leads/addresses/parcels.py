"""Parcel numbers: APN, account, block and lot."""

import re
from typing import Final

from leads.addresses.tables import PLACEHOLDERS
from leads.addresses.text import upper

# "1.23E+10" has lost its last digits for good: no number is better than a wrong one.
_DAMAGED: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?E[+][0-9]+")
_SPREADSHEET_FLOAT: Final = re.compile(r"([0-9]{5,})\.0+")
_NOT_ALNUM: Final = re.compile(r"[^A-Z0-9]+")
_NOTHING: Final = {re.sub(r"[^A-Z0-9]+", "", word) for word in PLACEHOLDERS} | {
    "TIMESHARES",
    "MULTIPLE",
    "MULTIPLEPARCELS",
    "PENDING",
    "PROPERTYAPPRAISER",
    "NOPARCEL",
    "PARCEL",
    "NULL",
}
_BETWEEN_DIGITS: Final = re.compile(r"(?<=[0-9])[-./](?=[0-9])")
_MARKERS: Final = re.compile("BLK|BLOCK|LOT|QUAL|DOT")


def normalize_parcel_number(text: str) -> str:
    """Letters and digits in upper case, leading zeros dropped; placeholders and damaged numbers give ``""``."""
    text = upper(text)
    if _DAMAGED.fullmatch(text):
        return ""
    if found := _SPREADSHEET_FLOAT.fullmatch(text):
        text = found[1]
    number = _NOT_ALNUM.sub("", text).lstrip("0")
    return "" if number in _NOTHING else number


def join_parcel_parts(block: str, lot: str, qualifier: str) -> str:
    """One parcel number from block, lot and qualifier, for `normalize_parcel_number` to take.

    The parts are marked with words that no part holds, so that different parcels stay different once only
    letters and digits are left: ("1", "23") -> BLK1LOT23, ("12", "3") -> BLK12LOT3, lot "3.02" -> LOT3DOT02.
    """
    parts = [(mark, _part(text)) for mark, text in (("BLK", block), ("LOT", lot), ("QUAL", qualifier))]
    return "".join(mark + text for mark, text in parts if text)


def _part(text: str) -> str:
    text = upper(text)
    if _DAMAGED.fullmatch(text):
        return ""
    while (stripped := _MARKERS.sub("", text)) != text:  # "LOT 5" in the lot column
        text = stripped
    # Between digits a sign tells lots apart (12.01, 120-1); elsewhere (C-12) it is a habit of the writer.
    whole, *decimals = (_NOT_ALNUM.sub("", piece) for piece in _BETWEEN_DIGITS.split(text))
    whole = whole.lstrip("0")
    pieces = [whole or "0"] + [d for d in decimals if d.strip("0")]
    joined = "DOT".join(pieces)
    return "" if joined == "0" or (whole in _NOTHING and len(pieces) == 1) else joined
