"""Clean single cells: text, dates, tags, phones and e-mail addresses; money and addresses elsewhere."""

import json
import re
import unicodedata
from datetime import date, timedelta

FIRST_YEAR, LAST_YEAR = 1970, 2100

_NEEDS_CLEANING = re.compile(r"[^\x21-\x7e\xa1-\u1fff ]|  |^ | $|\xad")
_PLACEHOLDERS = frozenset(
    {
        "n/a", "na", "n.a.", "n.a", "#n/a", "#na", "null", "(null)", "[null]", "<null>", "nil", "none",
        "-- none --", "unknown", "unk", "not available", "not applicable", "nan", "tbd", "undefined", "\\n",
        "#ref!", "#value!", "blank", "(blank)",
    }
)  # fmt: skip
_DAMAGE = re.compile(r"[+-]?\d(?:[.,]\d+)?E\+?\d{1,3}$|#{3,}$", re.IGNORECASE)

_MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "jan january",
            "feb february",
            "mar march",
            "apr april",
            "may",
            "jun june",
            "jul july",
            "aug august",
            "sep sept september",
            "oct october",
            "nov november",
            "dec december",
        ],
        1,
    )
    for name in names.split()
}
_MDY = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?=$|[ T])")
_YMD = re.compile(r"(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})(?=$|[ T])")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\.0)?$")
_WORDS_FIRST = re.compile(r"(?:[a-z]{3,9}\.?,? )?([a-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})\b")
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[ -]([a-z]{3,9})\.?,?[ -](\d{4}|\d{2})(?=$|[ T])")
_SERIAL = re.compile(r"(\d{5})(?:\.\d+)?$")
_EPOCH = date(1899, 12, 30)  # what spreadsheets count days from


def parse_list_date(text: str) -> date | None:
    """The day in an American or ISO date, a spreadsheet's serial number or a written date; None if unclear.

    Only days from 1970 to 2100 are believed: "01/01/21507", "0000-00-00" and 1797 stand for "unknown".
    """
    text = text.strip()
    if not text:
        return None
    if match := _MDY.match(text):
        month, day, year = int(match[1]), int(match[2]), int(match[3])
        if len(match[3]) == 2:
            year += 2000 if year < 70 else 1900
        return _day(year, month, day)
    if match := _YMD.match(text) or _COMPACT.match(text):
        return _day(int(match[1]), int(match[2]), int(match[3]))
    if match := _SERIAL.match(text):
        # 1982-02-12 to 2064-04-08; other five digits are more likely a ZIP or an id
        serial = int(match[1])
        return _EPOCH + timedelta(days=serial) if 30_000 <= serial <= 60_000 else None
    lowered = " ".join(text.lower().split())
    if match := _WORDS_FIRST.match(lowered):
        return _day(int(match[3]), _MONTHS.get(match[1], 0), int(match[2]))
    if match := _DAY_FIRST.match(lowered):
        year = int(match[3])
        if len(match[3]) == 2:
            year += 2000 if year < 70 else 1900
        return _day(year, _MONTHS.get(match[2], 0), int(match[1]))
    return None


def _day(year: int, month: int, day: int) -> date | None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def clean_text(text: str) -> str:
    """One line without control and invisible characters; every run of white space is one blank."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip(" ")  # most cells by far
    if not _NEEDS_CLEANING.search(text):
        return text
    kept = []
    for char in text:
        if char.isspace():
            kept.append(" ")
            continue
        kind = unicodedata.category(char)
        if kind == "Cc":
            kept.append(" ")
        elif kind not in {"Cf", "Cs", "Cn", "Co"}:
            kept.append(char)
    return " ".join("".join(kept).split())


def is_placeholder(text: str) -> bool:
    """Whether a cell only says that there is nothing: N/A, NULL, none, unknown, a dash."""
    text = text.strip()
    return not text or text.lower() in _PLACEHOLDERS or all(char in "-–—._*?/\\ " for char in text)


def is_spreadsheet_damage(text: str) -> bool:
    """Whether a spreadsheet has destroyed the value: "1.23E+10", "#####"."""
    return bool(_DAMAGE.match(text.strip()))


def split_tags(text: str) -> list[str]:
    """The tag names in a cell, separated by ; | or , (or a JSON list), in order, each once."""
    text = text.strip()
    if not text:
        return []
    parts: list[str] = []
    if text.startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list):
            parts = [item for item in found if isinstance(item, str)]
    names: dict[str, str] = {}
    for part in parts or re.split(r"[;|,\r\n]", text):
        name = clean_text(part)
        if name and not is_placeholder(name):
            names.setdefault(name.casefold(), name)
    return list(names.values())


def clean_phone(text: str) -> str:
    """A ten-digit number as "(555) 010-0000", with its extension; anything else as it stands."""
    text = clean_text(text)
    text = text.removesuffix(".0")  # a number formatted by a spreadsheet
    number, _, extension = (
        part.strip() for part in re.sub(r"(?i)\s*(?:ext\.?|x)\s*(\d+)$", r"|\1", text).partition("|")
    )
    digits = re.sub(r"\D", "", number)
    if len(digits) == 11 and digits.startswith("1"):
        digits = digits[1:]
    if len(digits) != 10 or not re.fullmatch(r"[\d\s().+/-]+", number):
        return "" if is_placeholder(text) else text
    formatted = f"({digits[:3]}) {digits[3:6]}-{digits[6:]}"
    return f"{formatted} x{extension}" if extension else formatted


def clean_email(text: str) -> str:
    """The address in lower case, without "mailto:" and angle brackets; anything else as it stands."""
    text = clean_text(text)
    match = re.fullmatch(r"(?:.*<)?(?:mailto:)?([^\s<>@]+@[^\s<>@]+\.[^\s<>@]+)>?", text, re.IGNORECASE)
    if match:
        return match[1].lower().rstrip(".,;")
    return "" if is_placeholder(text) else text
