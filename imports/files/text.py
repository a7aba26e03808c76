"""Find out the encoding and the line end of a file, by reading all of it once, in blocks."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from imports.files.layout import UnusableFile

ENCODINGS: tuple[str, ...] = (
    "utf-8",
    "cp1252",
    "iso8859-1",
    "iso8859-15",
    "utf-16-le",
    "utf-16-be",
    "cp437",
    "cp850",
    "cp1250",
    "mac-roman",
)
"""What a person may choose instead of what was found."""

# UTF-8 in which some bytes are cp1252: lists glued together from two sources. Not offered, only found.
MIXED = "utf-8 with cp1252"

_BLOCK = 1 << 20
_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x19\x1b-\x1f\x7f]")


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("leadscore-cp1252", _as_cp1252)


@dataclass(frozen=True, slots=True)
class TextForm:
    """How the bytes become text."""

    encoding: str
    line_end: Literal["\n", "\r"]
    notes: tuple[str, ...]


def open_text(path: Path, encoding: str) -> TextIO:
    """The file as text, line ends untouched; never raises for content. `encoding` is `survey_text`'s."""
    if encoding == MIXED:
        return path.open(encoding="utf-8", errors="leadscore-cp1252", newline="\n")
    return path.open(encoding=encoding, errors="replace", newline="\n")


def read_blocks(handle: TextIO, size: int) -> Iterator[str]:
    """The text in blocks of about `size` characters, without BOM, NULs and the DOS end-of-file mark."""
    block = handle.read(size).removeprefix("\ufeff")
    while block:
        if "\0" in block:
            block = block.replace("\0", "")
        if "\x1a" in block:
            block = block.replace("\x1a", "")
        yield block
        block = handle.read(size)


def survey_text(path: Path, head: bytes, *, encoding: str | None = None) -> TextForm:
    """Choose the encoding (UTF-8 if the whole file is valid, else cp1252) and the line end.

    A BOM wins, then the given `encoding`, then the pattern of NULs (UTF-16 without BOM).
    Raises UnusableFile for an unknown encoding, and where the bytes are no text.
    """
    chosen = _normalise(encoding) if encoding else ""
    bom = next((name for mark, name in _BOMS if head.startswith(mark)), "")
    name = bom or chosen or _utf16_by_nuls(head)
    notes: list[str] = []
    if bom and chosen and chosen != bom and not (encoding or "").lower().startswith(bom[:6]):
        notes.append(f"the file itself says that it is {bom}: {chosen} was not used")
    if not name:
        name = "utf-8" if _is_valid(path, "utf-8") else _without_utf8(path)
    elif not _is_valid(path, name):
        notes.append(f"some characters are not valid {name} and are shown as \ufffd")
    if name != "utf-8":
        label = {"cp1252": "cp1252 (Windows)", MIXED: "UTF-8, its invalid characters as cp1252"}.get(name, name)
        notes.insert(0, f"read as {label}")
    lf = cr = crlf = nul = 0
    with path.open("rb") as raw:
        looks_binary = _is_binary(raw.read(65_536), name)
    if looks_binary:
        raise UnusableFile(
            "This file holds binary data, not text: open it in the program it came from and save it as CSV."
        )
    with open_text(path, name) as handle:
        while block := handle.read(_BLOCK):
            lf += block.count("\n")
            cr += block.count("\r")
            crlf += block.count("\r\n")
            nul += block.count("\0")
    if nul:
        notes.append(f"{nul:,} NUL character{'s were' if nul > 1 else ' was'} removed")
    # More lone CRs than LFs: a Mac file, where LF can only be a line break inside a cell.
    return TextForm(name, "\r" if cr - crlf > lf else "\n", tuple(notes))


def _normalise(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding.strip()).name
    except (LookupError, ValueError):
        name = ""
    name = {"utf-8-sig": "utf-8", "ascii": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name)
    if name not in {*ENCODINGS, "utf-32-le", "utf-32-be"}:
        raise UnusableFile(f"The encoding {encoding!r:.40} is not known here. Choose one of: {', '.join(ENCODINGS)}.")
    return name


def _utf16_by_nuls(head: bytes) -> str:
    """UTF-16 without BOM: in Latin text every second byte is NUL."""
    sample = head[:4096]
    half = len(sample) // 2
    if half < 4:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be"
    return ""


def _is_valid(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as raw:
        try:
            while block := raw.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _without_utf8(path: Path) -> str:
    """cp1252, unless most of what is not ASCII is good UTF-8."""
    good = high = 0
    with path.open("rb") as raw:
        while block := raw.read(_BLOCK):
            high += len(_HIGH.findall(block))
            good += sum(len(match) for match in _MULTIBYTE.findall(block))
    return MIXED if good > high / 2 else "cp1252"


def _is_binary(head: bytes, encoding: str) -> bool:
    if encoding == MIXED:
        encoding = "cp1252"
    text = head.decode(encoding, "ignore")
    controls = len(_CONTROL.findall(text))
    return bool(text) and (controls > max(16, 0.05 * len(text)) or text.count("\0") > max(2, 0.3 * len(text)))
