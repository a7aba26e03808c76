"""Gives a test run its own servers: `-p leadscore.embedded.pytest_plugin` in pyproject's addopts.

Loaded that early, its import sets the environment before pytest-django reads the settings. DATABASE_URL and
REDIS_URL are honoured when set. LEADSCORE_TEST_SUFFIX names a separate data directory, so that two runs may
go on side by side in one tree.
"""

import os
import sys
from pathlib import Path

from leadscore.embedded.client import ensure_servers
from leadscore.embedded.environment import missing_services
from leadscore.embedded.layout import PROJECT_DIR, EmbeddedError, Layout
from leadscore.embedded.locks import wait_for_lock

ONE_RUN_SECONDS = 3600.0


def _test_data_dir() -> Path:
    suffix = os.environ.get("LEADSCORE_TEST_SUFFIX")
    return PROJECT_DIR / (f".data-test-{suffix}" if suffix else ".data-test")


def _wait_for_other_run(layout: Layout) -> None:
    """Two runs would take turns at dropping one test database; the second waits."""
    wait_for_lock(
        layout.control / "tests.lock",  # held until this process ends
        timeout=ONE_RUN_SECONDS,
        busy=f"Another test run has used {layout.data_dir} for an hour.",
        on_wait=lambda: print(  # noqa: T201
            f"Waiting for another test run in {layout.data_dir}; LEADSCORE_TEST_SUFFIX=name runs beside it.",
            file=sys.stderr,
            flush=True,
        ),
    )


def _provide_servers() -> None:
    services = missing_services()
    if not services:
        return
    data_dir = _test_data_dir()
    os.environ["LEADSCORE_DATA_DIR"] = str(data_dir)
    try:
        endpoints = ensure_servers(data_dir, fast=True, services=services)
        _wait_for_other_run(Layout(data_dir))
    except EmbeddedError as error:
        sys.exit(str(error))
    endpoints.export(services)


_provide_servers()
