"""Read the files people bring: CSV in every shape counties publish, and JSON. Text in, text out."""

from imports.files.header import DELIMITERS
from imports.files.layout import Layout, RawRow, UnusableFile
from imports.files.reading import inspect_file, read_rows, sample_rows
from imports.files.text import ENCODINGS

__all__ = [
    "DELIMITERS",
    "ENCODINGS",
    "Layout",
    "RawRow",
    "UnusableFile",
    "inspect_file",
    "read_rows",
    "sample_rows",
]
