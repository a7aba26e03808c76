"""manage.py benchmark: that each one runs to its end and prints its figures; how fast things are is no test."""

import json
from collections.abc import Iterator

import pytest

from tests.installation import Installation, throwaway_servers

SMALL = {
    "generation": (["--leads", "2000", "--contractors", "5", "--zips", "50", "--repeats", "1"], "make_1000_to_floor"),
    "api": (["--referrals", "1000", "--clients", "2", "--seconds", "1"], "p95_to_bare"),
}


@pytest.fixture(scope="module")
def servers() -> Iterator[Installation]:
    with throwaway_servers() as installation:
        yield installation


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_runs_to_its_end(servers: Installation, name: str) -> None:
    options, ratio = SMALL[name]
    told = json.loads(servers.run("manage.py", "benchmark", name, *options, "--json"))
    assert told["name"] == name
    assert told["ratios"][ratio] > 0
