"""Gives a test run its own servers: `-p leadscore.embedded.pytest_plugin` in pyproject's addopts.

Loaded that early, its import sets the environment before pytest-django reads the settings. DATABASE_URL and
REDIS_URL are honoured when set. LEADSCORE_TEST_SUFFIX names a separate data directory, so that two runs may
go on side by side in one tree; so has each process of pytest-xdist.
"""

import os
import sys
from pathlib import Path

from leadscore.embedded.client import ensure_servers
from leadscore.embedded.environment import VARIABLES, missing_services
from leadscore.embedded.layout import PROJECT_DIR, EmbeddedError, Layout
from leadscore.embedded.locks import wait_for_lock

ONE_RUN_SECONDS = 3600.0


OURS = "LEADSCORE_TEST_SERVERS_ARE_OURS"


def _test_data_dir() -> Path:
    suffixes = [os.environ.get("LEADSCORE_TEST_SUFFIX"), os.environ.get("PYTEST_XDIST_WORKER")]
    return PROJECT_DIR / "-".join([".data-test", *filter(None, suffixes)])


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
    if os.environ.get(OURS):  # those of the process that started us: tests of both would share one broker
        for name in os.environ.pop(OURS).split():
            del os.environ[name]
    services = missing_services()
    if not services:
        return
    os.environ[OURS] = " ".join(VARIABLES[service] for service in services)
    data_dir = _test_data_dir()
    os.environ["LEADSCORE_DATA_DIR"] = str(data_dir)
    try:
        endpoints = ensure_servers(data_dir, fast=True, services=services)
        _wait_for_other_run(Layout(data_dir))
    except EmbeddedError as error:
        sys.exit(str(error))
    endpoints.export(services)


_provide_servers()
