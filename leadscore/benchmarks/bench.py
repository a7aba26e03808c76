"""What benchmarks share: a scratch database, a stopwatch, and one way to report."""

import contextlib
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

MIB = 1024 * 1024


@dataclass(slots=True)
class Report:
    """One benchmark: figures end in their unit (s seconds, ms milliseconds, mb MiB resident); ratios name two of them.

    `bars` gives the most (or, for a rate, the least) that a figure or ratio should be.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float | int | None] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    bars: dict[str, tuple[str, float]] = field(default_factory=dict)

    def ratio(self, name: str, over: str, under: str) -> None:
        """Note figure `over` divided by figure `under`."""
        top, bottom = self.figures.get(over), self.figures.get(under)
        if top is not None and bottom:
            self.ratios[name] = round(top / bottom, 3)

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "settings": self.settings, "figures": self.figures, "ratios": self.ratios}


def say(text: str) -> None:
    """Progress goes to stderr; stdout carries the result only."""
    sys.stderr.write(f"{text}\n")


@contextlib.contextmanager
def scratch_database() -> Iterator[None]:
    """A migrated, empty database that is dropped afterwards; the current one is not touched."""
    former = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = f"{former}_benchmark"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(former, verbosity=0)


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median(values: list[float]) -> float:
    return round(statistics.median(values), 4)


def run_sql(statement: str, params: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def settle(*tables: str) -> None:
    """Vacuum and checkpoint, so that no measurement pays for the one before it."""
    for table in tables:
        run_sql(f"VACUUM (ANALYZE) {table}")
    run_sql("CHECKPOINT")


def peak_mb(*, helpers: int = 0) -> float:
    """Most memory held resident so far, in MiB: by this process, and by `helpers` children as large as the largest."""
    kibi = 1024 if sys.platform != "darwin" else 1
    own, largest = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round((own + helpers * largest) * kibi / MIB, 1)
