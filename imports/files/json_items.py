"""Stream the items of a JSON list (or of JSON lines) from text, one item in memory at a time.

The standard decoder on a growing buffer, not ijson: its C backend kills the whole process on an integer of
5,000 digits (3.6.0), and its floats lose the digits as written.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn, TextIO

from imports.files.layout import UnusableFile
from imports.files.limits import MAX_ITEM_CHARS
from imports.files.text import read_blocks

_BLOCK = 1 << 17
_SPACE = re.compile(r"[ \t\r\n]*")


class _Number(str):
    """A number, exactly as it stands in the file."""

    __slots__ = ()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_no_constant, strict=False)


class _Buffer:
    """Text from `handle`, of which `at` characters are used up."""

    def __init__(self, handle: TextIO) -> None:
        self._blocks = read_blocks(handle, _BLOCK)
        self.text = ""
        self.at = 0
        self.line = 1  # of text[0]
        self.ended = False

    def more(self) -> bool:
        """Read on; False = there is nothing more."""
        block = next(self._blocks, "")
        if not block:
            self.ended = True
            return False
        self.line += self.text.count("\n", 0, self.at)
        self.text = self.text[self.at :] + block
        self.at = 0
        return True

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # always matches
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def where(self, at: int) -> str:
        """Line and column of a position, for people."""
        line = self.line + self.text.count("\n", 0, at)
        return f"line {line}, column {at - self.text.rfind(chr(10), 0, at)}"

    def value(self, number: int) -> Any:
        """The JSON value that starts here."""
        wanted = _BLOCK
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if not self.ended and len(self.text) - self.at <= MAX_ITEM_CHARS:
                    # It may only be cut off. Double what is there: a long item is not parsed too often.
                    wanted = max(wanted, 2 * (len(self.text) - self.at))
                    while len(self.text) - self.at < wanted and self.more():
                        pass
                    continue
                if not self.ended:
                    raise UnusableFile(
                        f"Item {number:,} of the JSON file ({self.where(self.at)}) does not end within "
                        f"{MAX_ITEM_CHARS:,} characters: it is broken or too long."
                    ) from error
                raise _invalid(f"{error.msg} at {self.where(error.pos)} (item {number:,})") from error
            except RecursionError as error:
                raise UnusableFile(f"Item {number:,} of the JSON file is nested too deeply to read.") from error
            except ValueError as error:  # NaN, Infinity
                raise _invalid(f"{error} at {self.where(self.at)} (item {number:,})") from error
            if end == len(self.text) and not self.ended:
                self.more()  # a number may go on
                continue
            self.at = end
            return value


def _invalid(what: str) -> UnusableFile:
    return UnusableFile(f"The file is not valid JSON: {what}. Export it again, or correct that place.")


def read_items(handle: TextIO) -> Iterator[Any]:
    """Each item of the top-level list, or each value of JSON lines; raises UnusableFile where it breaks."""
    buffer = _Buffer(handle)
    first = buffer.peek()
    number = 0
    if first == "[":
        buffer.at += 1
        if buffer.peek() == "]":
            buffer.at += 1
        else:
            while True:
                number += 1
                if not buffer.peek():
                    raise _invalid(f"it ends before item {number:,}, without the closing ]")
                yield buffer.value(number)
                mark = buffer.peek()
                buffer.at += 1
                if mark == "]":
                    break
                if mark != ",":
                    found = f"{mark!r}" if mark else "the end of the file"
                    raise _invalid(f"a comma or ] is missing after item {number:,}, where {found} stands "
                                   f"({buffer.where(max(buffer.at - 1, 0))})")  # fmt: skip
        if rest := buffer.peek():
            raise _invalid(f"{rest!r} follows the closing ] at {buffer.where(buffer.at)}")
        return
    while buffer.peek():
        number += 1
        yield buffer.value(number)


def cell_text(value: Any) -> str:
    """A JSON value as the text of a cell: null is empty, numbers as written, lists and objects as JSON."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        return ""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return _compact(value)


def _compact(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_compact(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_compact, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
