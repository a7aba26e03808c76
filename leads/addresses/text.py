"""Text to plain upper case: the form in which everything else here compares."""

import re
import unicodedata
from typing import Final

# Letters that Unicode does not decompose, and signs that stand for others.
_FOLD: Final = str.maketrans(
    {
        "Ø": "O",
        "ø": "o",
        "Ł": "L",
        "ł": "l",
        "Đ": "D",
        "đ": "d",
        "Æ": "AE",
        "æ": "ae",
        "Œ": "OE",
        "œ": "oe",
        "ß": "ss",
        "ẞ": "SS",
        "ı": "i",
        "½": " 1/2 ",
        "¼": " 1/4 ",
        "¾": " 3/4 ",
        "‘": "'",
        "’": "'",
        "‛": "'",
        "ʼ": "'",
        "′": "'",
        "´": "'",
        "“": '"',
        "”": '"',
        "‐": "-",
        "‑": "-",
        "‒": "-",
        "–": "-",
        "—": "-",
        "―": "-",
        "−": "-",
        "⁄": "/",
        "№": "#",
    }
)

_CONTROLS: Final = dict.fromkeys((*range(32), 127), " ")
_PUNCTUATION: Final[dict[int, str]] = {
    **_CONTROLS,
    **{ord(c): " " for c in '"*:=_|~@$%!?^'},
    **{ord(c): "" for c in "'`<>"},  # "12> ELM ST": a mark of the city's, no part of the number
    ord(";"): " , ",
    ord("\\"): "/",
    ord("["): " ( ",
    ord("]"): " ) ",
    ord("{"): " ( ",
    ord("}"): " ) ",
    ord("+"): " & ",
    ord("&"): " & ",
    ord("#"): " # ",
    ord(","): " , ",
    ord("("): " ( ",
    ord(")"): " ) ",
}
_INITIALS: Final = re.compile(r"\b([A-Z])\. ?(?=[A-Z]\b)")  # N.W. -> NW, P. O. -> PO
_DECIMAL_ZERO: Final = re.compile(r"(?<=[0-9])\.0+(?![0-9.])")  # 4.0, written by a spreadsheet
_LOOSE_DOT: Final = re.compile(r"(?<![0-9])\.|\.(?![0-9])")
_STRAY_DASH: Final = re.compile(r"(?<![^ ])-+(?![^ ])")
_EDGE_DASH: Final = re.compile(r"(?<![^ ])-+(?=[^ -])|(?<=[^ -])-+(?![^ ])")  # "-OFFICE", "REAR 17-"
_OPEN_HYPHEN: Final = re.compile(r"(?<=[A-Z])- (?=[A-Z])")  # "FLEET- WOOD", broken at a line's end


def fold(text: str) -> str:
    """Fold accents and typographic signs; drop what no address holds (controls, marks, unassigned)."""
    # Decomposing, upper-casing and dropping marks can each bring the others new work: repeat until still.
    for _ in range(4):
        before = text
        text = unicodedata.normalize("NFKD", text.translate(_FOLD)).translate(_FOLD).upper()
        text = "".join(
            " " if (kind := unicodedata.category(c)) in ("Cc", "Zs", "Zl", "Zp") else c
            for c in text
            if (kind := unicodedata.category(c))[0] not in "MC" or kind == "Cc"
        )
        if text == before:
            break
    return text


def upper(text: str) -> str:
    """Folded upper case with single spaces, punctuation kept."""
    if not text.isascii():
        text = fold(text)
    return " ".join(text.translate(_CONTROLS).upper().split())


def clean(text: str) -> str:
    """Folded upper case, punctuation reduced to what carries meaning in an address: ``, # & ( ) - /``.

    Dots go, but for decimals ("39.2 RD"); ``, # & ( )`` become words of their own.
    """
    if not text.isascii():
        text = fold(text)
    text = text.upper().translate(_PUNCTUATION)
    if "." in text:
        text = _INITIALS.sub(r"\1", text)
        text = _DECIMAL_ZERO.sub("", text)
        text = _LOOSE_DOT.sub(" ", text)
    if "-" in text:
        text = " ".join(text.split())
        text = _EDGE_DASH.sub("", _OPEN_HYPHEN.sub("", text))
        text = _STRAY_DASH.sub(" - ", text)
    return " ".join(text.split())
