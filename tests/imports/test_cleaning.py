"""Cleaning in other processes: the same blocks, in the same order, and an end to everything."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from django.db import connection

from imports import cleaning
from imports.cleaning import CleaningFailed, Plan, clean_file, copy_line
from imports.files import inspect_file
from imports.rows import CleanRow, Defaults

ROWS = 3 * cleaning.BLOCK_ROWS + 17
NOTHING = Defaults(source="test", city="", state="", tag_ids=())


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A list of several blocks with blank rows, broken rows and tags."""
    path = tmp_path / "list.csv"
    lines = [f"{n + 1} Oak Street,07030,Tag {n % 50}; tag-{n % 7}" for n in range(ROWS)]
    lines[100], lines[ROWS - 2] = ",,", "Nowhere Street,07030,Vacant"
    path.write_text("Address,ZIP,Tags\n" + "\n".join(lines) + "\n")
    layout = inspect_file(path, max_bytes=10**7)
    return Plan(path, layout, {"address": 0, "zip": 1, "tags": 2}, NOTHING)


def tag_number(name: str) -> int:
    return int(name.removeprefix("Tag ").removeprefix("tag-")) + 1 if name != "Vacant" else 99


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_several_processes_give_the_very_blocks_of_one(plan: Plan, processes: int) -> None:
    alone = list(clean_file(plan, tag_number))
    assert [block.rows for block in alone] == [3999, 4000, 4000, 17]
    assert [block.blank for block in alone] == [1, 0, 0, 0]
    assert list(clean_file(plan, tag_number, processes=processes)) == alone


def test_what_finding_a_tag_raises_ends_it(plan: Plan) -> None:
    def refuse(name: str) -> int:
        raise LookupError(name)

    with pytest.raises(LookupError):
        list(clean_file(plan, refuse, processes=2))
    assert psutil.Process().children() == []


def test_a_killed_process_is_said_to_be_one(plan: Plan) -> None:
    blocks = clean_file(plan, tag_number, processes=2)
    next(blocks)
    for child in psutil.Process().children():
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(ChildProcessError):
        list(blocks)


def test_an_error_over_there_is_told_here(plan: Plan) -> None:
    broken = Plan(plan.path, plan.layout, {"address": 77}, NOTHING)
    with pytest.raises(CleaningFailed, match="IndexError"):
        list(clean_file(broken, tag_number, processes=2))


@pytest.mark.django_db
def test_every_character_arrives_in_postgresql() -> None:
    nasty = "tab\t back\\slash\\N \\. line\nfeed\r é 🏠"
    row = CleanRow(line=7, address=nasty, owner_name=nasty, extra='{"a": "\\t\\"\\\\"}', tag_ids=(3, 4))
    columns = ", ".join(f"{name} text" for name in cleaning.COPIED)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE raw ({columns}) ON COMMIT DROP")
        with cursor.copy("COPY raw FROM STDIN") as copy:
            copy.write(copy_line(row) + copy_line(CleanRow(line=8, problem="no")))
        cursor.execute(
            "SELECT line, address, owner_name, extra::jsonb->>'a', tag_ids::bigint[], asserted_at, is_address_parsed, "
            "city FROM raw ORDER BY line"
        )
        assert cursor.fetchall() == [
            ("7", nasty, nasty, '\t"\\', [3, 4], None, "t", ""),
            ("8", "", "", None, [], None, "t", ""),
        ]
