"""Tell files that are no text table by their first bytes, and say what to do instead."""

import re

from imports.files.layout import UnusableFile

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!\x1a", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"BZh91AY", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an XZ archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x00\x01\x00\x00Standard", "an Access database"),
    (b"PAR1\x15", "a Parquet file"),
    (b"\x00\x00\x27\x0a", "a shapefile"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"{\\rtf", "a rich text document"),
)
_DBF_VERSIONS = b"\x02\x03\x04\x05\x30\x31\x43\x63\x83\x8b\xcb\xf5"
_SAVE_AS_CSV = "in Excel choose File > Save As > CSV UTF-8, then import that file"


def refuse_other_kinds(head: bytes, *, suffix: str) -> None:
    """Raise UnusableFile if `head`, the first bytes of the file, is that of a PDF, a workbook, an image..."""
    renamed = f" renamed to {suffix}" if suffix in {".csv", ".tsv", ".txt", ".json"} else ""
    start = head.lstrip(b"\xef\xbb\xbf\r\n\t ")[:2048]
    if start.startswith(b"%PDF"):
        raise UnusableFile(f"This is a PDF{renamed}: export the table as CSV and import that.")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        if b"xl/" in head or (b"[Content_Types].xml" in head and b"word/" not in head and b"ppt/" not in head):
            raise UnusableFile(f"Excel workbooks are not read yet: {_SAVE_AS_CSV}.")
        if b"opendocument.spreadsheet" in head:
            raise UnusableFile("OpenDocument spreadsheets are not read: save the sheet as CSV, then import that file.")
        raise UnusableFile(f"This is a ZIP archive{renamed}: unpack it and import the CSV file inside.")
    for magic, name in _MAGIC:
        if head.startswith(magic):
            if name == "xls":
                raise UnusableFile(f"This is an Excel workbook (XLS) or another Office document: {_SAVE_AS_CSV}.")
            if name.endswith("archive"):
                raise UnusableFile(f"This is {name}{renamed}: unpack it and import the CSV file inside.")
            raise UnusableFile(f"This is {name}{renamed}, not a table: export the list as CSV and import that.")
    if _is_dbf(head):
        raise UnusableFile("This is a dBase table (DBF): open it in a spreadsheet and save it as CSV UTF-8.")
    lowered = start.lower()
    if lowered.startswith(b"<"):
        if b"urn:schemas-microsoft-com:office:spreadsheet" in lowered:
            raise UnusableFile(f"This is an Excel workbook in XML: {_SAVE_AS_CSV}.")
        if b"<html" in lowered or b"<!doctype html" in lowered or b"<table" in lowered:
            raise UnusableFile(
                f"This is a web page (HTML){renamed}: perhaps a login or error page was saved. "
                "Download the list itself as CSV."
            )
        if re.match(rb"<[a-z?!/]", lowered):
            raise UnusableFile(f"This is an XML file{renamed}: export the list as CSV or JSON.")


def _is_dbf(head: bytes) -> bool:
    return (
        len(head) >= 32
        and head[0] in _DBF_VERSIONS
        and 1 <= head[2] <= 12
        and 1 <= head[3] <= 31
        and head[12:14] == b"\x00\x00"
        and head[30:32] == b"\x00\x00"
    )
