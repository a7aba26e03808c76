"""Parcel numbers: APN, account, block and lot."""

import re
from typing import Final

from leads.addresses.tables import PLACEHOLDERS
from leads.addresses.text import upper

# "1.23E+10" has lost its last digits for good: no number is better than a wrong one.
_DAMAGED: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?E[+][0-9]+|#{3,}")
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
_NOT_MARKED: Final = re.compile(r"[^A-Z0-9x]+")
_SEPARATOR: Final = re.compile(r"(?<=[0-9])[^A-Z0-9]+(?=[0-9])")
_SUMMARY: Final = re.compile(
    r"[^A-Z0-9]*(?:(?:GRAND|SUB|OVERALL|FINAL|REPORT|PAGE|LIST|COUNTY|RUNNING)?[ -]*TOTALS?\b"
    r"|(?:NUMBER|COUNT|SUM) OF\b|(?:RECORD|ROW|PARCEL|PROPERTY) COUNT\b|COUNT ?[:=]"
    r"|[0-9,]+ (?:TOTAL )?(?:RECORD|ROW|PARCEL|PROPERT(?:Y|IE)|ITEM|RESULT|ENTR(?:Y|IE))S?\b"
    r"|PAGE [0-9]+(?: ?(?:OF|/) ?[0-9]+)?[^A-Z0-9]*$|END OF (?:REPORT|LIST|FILE|DATA)\b"
    r"|(?:REPORT |LIST |FILE |DATA )?(?:GENERATED|PRINTED|EXPORTED|PREPARED|CREATED|PRODUCED|RUN|UPDATED|AS OF|DATE)\b"
    r"|SOURCE:|NOTES?:|COPYRIGHT\b)"
)
_MARKERS: Final = re.compile("BLK|BLOCK|LOT|QUAL|DOT")


def normalize_parcel_number(text: str) -> str:
    """Letters and digits in upper case, leading zeros dropped; placeholders and damaged numbers give ``""``."""
    return parcel_number_forms(text)[0]


def parcel_number_forms(text: str) -> tuple[str, str]:
    """The plain number on which lists agree, and that with one "-" for whatever stands between digits.

    The second tells 2-12 from 21-2 ("021.2-A" -> "212A", "21-2A"); ``""`` where nothing stands there.
    """
    text = upper(text)
    if text.isalnum():
        number = _NOT_ALNUM.sub("", text).lstrip("0")  # letters of other alphabets are no part of it
        return ("" if number in _NOTHING else number), ""
    if _DAMAGED.fullmatch(text):
        return "", ""
    if found := _SPREADSHEET_FLOAT.fullmatch(text):
        text = found[1]
    marked = _NOT_MARKED.sub("", _SEPARATOR.sub("x", text)).lstrip("0x")  # all others are capitals by now
    number = marked.replace("x", "")
    return ("", "") if number in _NOTHING else (number, marked.replace("x", "-") if "x" in marked else "")


def is_spoiled_parcel_number(text: str) -> bool:
    """Whether a spreadsheet has destroyed the number: "1.23E+10", "#####"."""
    return bool(_DAMAGED.fullmatch(upper(text)))


def is_summary(text: str) -> bool:
    """Whether a cell is a list's own line and no property: "Grand Total: 2 records", "Page 1 of 1".

    What holds no digit is no parcel number either.
    """
    text = upper(text)
    return not any(c in "0123456789" for c in text) or _SUMMARY.match(text) is not None


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
