"""Logs of the servers and the keeper: appended to, cut when long."""

from pathlib import Path
from typing import BinaryIO

GRAVE_WORDS = ("FATAL", "PANIC", "ERROR", "error:")
MAX_BYTES = 5 * 1024 * 1024


def open_log(path: Path) -> BinaryIO:
    """Open for appending; a long one is set aside first, as one older generation."""
    if path.exists() and path.stat().st_size > MAX_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    file = path.open("ab", buffering=0)
    path.chmod(0o600)
    return file


def last_line(path: Path) -> str:
    """The last line that says what went wrong, else the last line."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return "no log"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if "the database system is starting up" not in line]  # our own asking
    grave = [line for line in lines[-12:] if any(word in line for word in GRAVE_WORDS)]
    return (grave or lines or ["the log is empty"])[-1]
