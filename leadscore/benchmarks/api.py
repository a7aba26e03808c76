"""`benchmark api`: pages of a contractor's referrals under load, against a bare Django view under the same load."""

import contextlib
import datetime as dt
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.models import Group
from django.db import connection

from accounts.models import ApiToken, User
from leadscore.benchmarks import load
from leadscore.benchmarks.bench import Report, run_sql, say, scratch_database, settle
from leadscore.embedded.processes import die_with_parent, free_port
from leadscore.embedded.run import web_program
from territories.contractor_api.bodies import RECEIPT_EXAMPLE
from territories.models import Contractor

AT = dt.datetime(2026, 6, 15, 12, 0, tzinfo=dt.UTC)
CONTRACTORS = 500
PAGE = 25
PAGES = 4  # that a client follows before it begins again
INTERVAL_SECONDS = 0.5
WARM_SECONDS = 2.0
READY_SECONDS = 60.0
SHOP = "leadscore.wsgi:application"
BARE = "leadscore.benchmarks.bare:application"


def add_options(parser: Any) -> None:
    parser.add_argument("--referrals", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument(
        "--seconds", type=float, default=20, help="how long each load lasts; they alternate, twice each"
    )


def run(*, referrals: int, clients: int, seconds: float) -> Report:
    """Fill a scratch database, measure, drop it."""
    with scratch_database():
        return _measure(referrals, clients, seconds)


def _fill(referrals: int, clients: int) -> list[tuple[int, str]]:
    """Referrals of a year, dealt to contractors in turn, three quarters of them delivered; contractor and token of
    each client."""
    users = User.objects.bulk_create(
        [User(username=f"contractor-{number}", password="!") for number in range(CONTRACTORS)]  # noqa: S106
    )
    Group.objects.get(name="contractor").user_set.add(*users)
    contractors = Contractor.objects.bulk_create(
        [Contractor(company=f"Contractor {user.pk}", user=user, price=25, created_at=AT) for user in users]
    )
    run_sql(
        "INSERT INTO leads_lead (address_key, address, city, state, zip, owner_name, raw_address, score, created_at, "
        "updated_at) SELECT '1|' || i || ' MAIN ST||' || (10000 + i %% 5000), i || ' MAIN ST', 'SPRINGFIELD', 'OH', "
        "(10000 + i %% 5000)::text, 'OWNER NUMBER ' || i, i || ' Main Street', 500 + i %% 1500, %s, %s "
        "FROM generate_series(1, %s) i",
        [AT, AT, referrals],
    )
    # By n % 20: 15 delivered (3 of them converted), 2 assigned, 3 expired.
    run_sql(
        """
        INSERT INTO territories_referral (lead_id, zip, score, urgency, status, contractor_id, price, generated_at,
            assigned_at, delivered_at, accepted_at, contacted_at, converted_at, ended_at, expires_at, value, receipt)
        SELECT id, zip, score, 50, state.name, %(first)s + n %% %(contractors)s, 25, moment.at, moment.at,
               CASE WHEN state.is_delivered THEN moment.at + interval '1 hour' END,
               CASE WHEN state.is_delivered THEN moment.at + interval '2 hours' END,
               CASE WHEN state.is_delivered THEN moment.at + interval '1 day' END,
               CASE state.name WHEN 'converted' THEN moment.at + interval '9 days' END,
               CASE state.name WHEN 'expired' THEN moment.at + interval '7 days' END,
               CASE state.name WHEN 'assigned' THEN moment.at + interval '7 days' END,
               CASE state.name WHEN 'converted' THEN 9000 END,
               CASE WHEN state.is_delivered THEN jsonb_set(%(receipt)s, '{lead,id}', to_jsonb(id)) END
        FROM (SELECT id, zip, score, row_number() OVER (ORDER BY id) AS n FROM leads_lead) lead
        CROSS JOIN LATERAL (SELECT %(at)s - interval '1 year' * (1 - n::float8 / %(referrals)s) AS at) moment
        CROSS JOIN LATERAL (
            SELECT CASE WHEN turn < 12 THEN 'delivered' WHEN turn < 15 THEN 'converted' WHEN turn < 17 THEN 'assigned'
                        ELSE 'expired' END AS name, turn < 15 AS is_delivered
            FROM (SELECT abs(hashint8(n)) %% 20 AS turn) chance
        ) state
        """,
        {  # type: ignore[arg-type]
            "first": contractors[0].pk,
            "contractors": CONTRACTORS,
            "receipt": json.dumps(RECEIPT_EXAMPLE),
            "at": AT,
            "referrals": referrals,
        },
    )
    chosen = [contractors[number * CONTRACTORS // clients] for number in range(clients)]
    return [
        (contractor.pk, ApiToken.objects.create(user=contractor.user, name="benchmark", expiry=None)[1])
        for contractor in chosen
    ]


@contextlib.contextmanager
def _served(application: str, path: str) -> Iterator[int]:
    """The port at which gunicorn serves it, started as `make run` does, on this database; `path` answers 200."""
    port = free_port()
    program = web_program("127.0.0.1", port, application=application)
    here = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environment = os.environ | program.extra_environment | {"DATABASE_URL": here}
    # The limit is at work and refuses nobody, not even the closed loop.
    environment["LEADSCORE_CONTRACTOR_READS_PER_MINUTE"] = "1000000"
    child = subprocess.Popen(
        program.command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True, preexec_fn=die_with_parent()
    )
    try:
        _wait_until_it_answers(port, path, child)
        yield port
    finally:
        child.terminate()
        child.wait(30)


def _wait_until_it_answers(port: int, path: str, child: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up_at and child.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            asked.request("GET", path)
            if asked.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"The server on port {port} did not start; see above.")


def _ask(
    port: int, paths: Sequence[str], headers: Sequence[dict[str, str]], *, seconds: float, interval: float | None
) -> list[float]:
    """Latencies in ms of all answers; none may be wrong."""
    plan = {
        "port": port,
        "paths": list(paths),
        "headers": list(headers),
        "seconds": seconds,
        "interval": interval,
        "pages": PAGES,
        "rows": PAGE,
    }
    done = subprocess.run(
        [sys.executable, str(Path(load.__file__))],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 120,
    )
    if done.returncode:
        raise RuntimeError(f"The load could not be made: {done.stderr[-2000:]}")
    told = json.loads(done.stdout)
    if told["wrong"]:
        raise RuntimeError(f"Wrong answers: {told['wrong']}")
    latencies: list[float] = told["latencies_ms"]
    return latencies


def _percentile(latencies: Sequence[float], percent: int) -> float:
    return round(statistics.quantiles(latencies, n=100)[percent - 1], 2)


def _measure(referrals: int, clients: int, seconds: float) -> Report:
    report = Report("api", settings={"referrals": referrals, "clients": clients, "seconds": seconds, "page": PAGE})
    say(f"filling {referrals:,} referrals of {CONTRACTORS} contractors")
    programs = _fill(referrals, clients)
    settle("territories_referral", "accounts_apitoken", "accounts_user", "territories_contractor")
    headers = [{"Authorization": f"Token {token}"} for _, token in programs]
    own = ["/api/contractor/referrals" for _ in programs]
    bare = [f"/bare?contractor={contractor_id}" for contractor_id, _ in programs]
    nothing: list[dict[str, str]] = [{} for _ in programs]
    measured: dict[str, list[float]] = {"": [], "bare_": []}
    with _served(SHOP, "/login/") as port, _served(BARE, bare[0]) as bare_port:
        say("warming up")
        _ask(port, own, headers, seconds=WARM_SECONDS, interval=INTERVAL_SECONDS)
        _ask(bare_port, bare, nothing, seconds=WARM_SECONDS, interval=INTERVAL_SECONDS)
        say(f"each client every {INTERVAL_SECONDS * 1000:.0f} ms")
        for _ in range(2):
            measured["bare_"] += _ask(bare_port, bare, nothing, seconds=seconds, interval=INTERVAL_SECONDS)
            measured[""] += _ask(port, own, headers, seconds=seconds, interval=INTERVAL_SECONDS)
        say("each client as fast as it is answered")
        closed = min(seconds, 10.0)
        at_once = len(_ask(port, own, headers, seconds=closed, interval=None))
    figures = report.figures
    figures["referrals"], figures["requests"] = referrals, len(measured[""])
    for kind, latencies in measured.items():
        figures[f"{kind}p50_ms"], figures[f"{kind}p95_ms"] = _percentile(latencies, 50), _percentile(latencies, 95)
    figures["closed_loop_requests_per_s"] = round(at_once / closed)
    report.ratio("p95_to_bare", "p95_ms", "bare_p95_ms")
    report.bars = {"p95_ms": ("most", 60), "p95_to_bare": ("most", 5)}
    return report
