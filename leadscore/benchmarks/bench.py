"""What benchmarks share: a scratch database, a stopwatch, and one way to report."""

import contextlib
import re
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from django.db import connection, transaction

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
def scratch_database(kind: str = "benchmark") -> Iterator[str]:
    """The name of a migrated, empty database that is dropped afterwards; the current one is not touched."""
    former = connection.settings_dict["NAME"]
    name = connection.settings_dict["TEST"]["NAME"] = f"{former}_{kind}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield name
    finally:
        switch_database(name)
        connection.creation.destroy_test_db(former, verbosity=0)


def switch_database(name: str) -> None:
    """Work in another one of the scratch databases from here on."""
    connection.close()
    connection.settings_dict["NAME"] = name


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


@contextlib.contextmanager
def noting_plan(folder: Path | None, name: str, marker: str) -> Iterator[None]:
    """Write into `folder` how PostgreSQL does the first statement that holds `marker`; its effect is rolled back first.

    What runs inside is done as ever, afterwards; only without a folder it costs nothing.
    """
    plan: list[str] = []

    def explain(execute: Any, statement: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        text = statement if isinstance(statement, str) else statement.as_string(None)
        if not plan and marker in text:
            plan.append("")
            with transaction.atomic():
                cursor = context["cursor"]
                execute(f"EXPLAIN (ANALYZE, BUFFERS) {text}", params, many, context)
                plan[0] = "\n".join(row[0] for row in cursor.fetchall())
                transaction.set_rollback(True)
        return execute(statement, params, many, context)

    with connection.execute_wrapper(explain) if folder else contextlib.nullcontext():
        yield
    if folder and plan:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text(re.sub(r"\{[\d,]{200,}\}", "{...}", plan[0]) + "\n")


def settle(*tables: str) -> None:
    """Vacuum and checkpoint, so that no measurement pays for the one before it; nor shall it be done beside one."""
    for table in tables:
        run_sql(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        run_sql(f"VACUUM (ANALYZE) {table}")
    run_sql("CHECKPOINT")


class PeakMemory:
    """Most memory, in MiB, that this process and the children it starts in between hold resident together."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._before = {child.pid for child in self._own.children()}  # servers
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self.helpers = 0.0
        self._watcher.start()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            resident = 0
            for child in self._own.children():
                if child.pid not in self._before:
                    with contextlib.suppress(psutil.Error):
                        resident += child.memory_info().rss
            self.helpers = max(self.helpers, resident / MIB)

    def end(self) -> float:
        """Stop watching; the peak."""
        self._over.set()
        self._watcher.join()
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(own * (1024 if sys.platform != "darwin" else 1) / MIB + self.helpers, 1)
