"""Everything that can die during a job, dying: workers, commands, PostgreSQL, the broker.

Real processes on servers of their own. An import that was interrupted anywhere must end with the very rows of an
import that was not.
"""

import contextlib
import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import psycopg
import pytest
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet
from django.utils import timezone

from jobs import registry
from jobs.identity import is_dead_here, worker_identity
from jobs.models import STALE_AFTER, Job
from jobs.operations import MAX_ATTEMPTS, abandoned_job_ids, cancel_job, run_job, start_job, sweep_jobs
from jobs.runs import JobRun
from jobs.tasks import run
from tests.conftest import NOW
from tests.installation import (
    NOBODY,
    PATIENCE,
    ROOT,
    Installation,
    answers,
    clone,
    crash_postgresql,
    kill,
    throwaway_servers,
    wait_until,
)

KNOWN, NEW, AGAIN, NUMBERLESS = 11_000, 13_000, 1_000, 40
ROWS = KNOWN + NEW + AGAIN + NUMBERLESS  # seven blocks to read, three ranges to merge
STREETS = ("OAK ST", "ELM AVE", "PINE RD", "BIRCH LN", "CEDAR DR", "MAPLE CT", "ASPEN WAY", "WALNUT PL")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Throw-away servers; their database holds the schema and the first list."""
    first = tmp_path_factory.mktemp("lists") / "first.csv"
    first.write_text("Address,ZIP,Owner\n" + "".join(f"{address(n)},07030,\n" for n in range(KNOWN)))
    with throwaway_servers() as installation:
        report = json.loads(installation.run("manage.py", "import_leads", str(first), "--json"))
        assert report["created"] == KNOWN
        yield installation


@pytest.fixture
def installation(servers: Installation, tmp_path: Path) -> Iterator[Installation]:
    """A database of one's own with 11,000 known properties."""
    yield from clone(servers, tmp_path)


def address(number: int) -> str:
    return f"{number // len(STREETS) + 1} {STREETS[number % len(STREETS)]}"


@pytest.fixture(scope="module")
def second_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Known properties with news, new ones, repeated ones whose later rows fill blanks, and rows to reject."""
    date = timezone.now().date() - dt.timedelta(days=10)  # no step or expiration lies near
    lines = [f"{address(n)},07030,OWNER {n},{date},Probate" for n in range(KNOWN + NEW)]
    lines.sort(key=lambda line: line[2:9])  # old and new in turn
    lines += [f"{address(n * 7)},07030,LATER,{date},Divorce" for n in range(AGAIN)]
    lines[5000:5000] = [f"Nowhere St,07030,NOBODY {n},{date}," for n in range(NUMBERLESS)]
    file = tmp_path_factory.mktemp("lists") / "second.csv"
    file.write_text("Address,ZIP,Owner,List Date,Tags\n" + "\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="module")
def undisturbed(
    servers: Installation, second_list: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the second list leaves when nothing goes wrong, done by the one of two processes that was first."""
    for installation in clone(servers, tmp_path_factory.mktemp("undisturbed")):
        job_id = installation.queue_import(second_list, announce=False)
        code = (
            "import django; django.setup()\n"
            "from jobs.operations import run_job\n"
            "print('ready', flush=True); input()\n"
            f"job = run_job(job_id={job_id})\n"
            "print(job and (job.status, job.attempt))\n"
        )
        rivals = [installation.start("-c", code, LEADSCORE_JOB_CONNECTIONS="2") for _ in range(2)]
        for rival in rivals:
            assert rival.stdout is not None
            assert rival.stdout.readline() == "ready\n"
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write("\n")
            rival.stdin.flush()
        said = sorted(rival.communicate(timeout=PATIENCE)[0].strip() for rival in rivals)
        verified = json.loads(installation.run("manage.py", "recalculate_scores", "--verify", "--json"))
        yield installation.landed() | {"said": said, "verified": verified}


READING = "stage = 'Reading rows' AND done > 0"
MERGING = "EXISTS (SELECT 1 FROM jobs_jobrange WHERE job_id = jobs_job.id AND counts IS NOT NULL)"
HOLD_MERGE = "LOCK TABLE tags_leadtag IN EXCLUSIVE MODE"

START_RECALCULATION = (
    "from django.utils import timezone\n"
    "from scoring.operations import start_recalculation\n"
    "print(start_recalculation(at=timezone.now(), by=None, announce=False).pk)"
)


def assert_same(landed: dict[str, Any], undisturbed: dict[str, Any]) -> None:
    for what, rows in landed.items():
        expected = undisturbed[what]
        different = [pair for pair in zip(rows, expected, strict=False) if pair[0] != pair[1]]
        assert (len(rows), different[:3]) == (len(expected), []), what


@pytest.mark.slow
def test_two_processes_at_one_job_and_exactly_one_works(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["said"] == ["('succeeded', 1)", "None"]
    assert undisturbed["batch"][-1] == (
        "succeeded", ROWS, NEW, KNOWN, AGAIN, NUMBERLESS, 0, "succeeded", "",
    )  # fmt: skip
    assert undisturbed["staging"] == []
    assert undisturbed["verified"] == {
        "leads": KNOWN + NEW, "differences": 0, "due": 0, "newer": 0, "pending": 0,
    }  # fmt: skip


@pytest.mark.slow
def test_a_worker_killed_reading_and_twice_merging(
    installation: Installation, second_list: Path, undisturbed: dict[str, Any]
) -> None:
    # The broker is down at the upload: nothing raises, the job waits for the sweep.
    job_id = installation.queue_import(second_list, announce=True, REDIS_URL=NOBODY)
    assert installation.rows(f"SELECT status, announced_at FROM jobs_job WHERE id = {job_id}") == [("queued", None)]

    worker = installation.start_worker()
    batch_id = installation.rows("SELECT max(id) FROM imports_importbatch")[0][0]
    installation.wait_for_job(READING)
    with installation.stalled(f"LOCK TABLE import_staged_{batch_id} IN ACCESS EXCLUSIVE MODE"):
        kill(worker)
    worker = installation.start_worker()
    installation.wait_for_job(f"attempt = 2 AND {MERGING}")
    with installation.stalled(HOLD_MERGE):
        kill(worker)
    worker = installation.start_worker()
    installation.wait_for_job("attempt = 3")
    kill(worker)
    assert installation.rows(f"SELECT status, attempt FROM jobs_job WHERE id = {job_id}") == [("running", 3)]
    installation.start_worker()
    installation.wait_for_job("status = 'succeeded' AND attempt = 4")
    assert_same(installation.landed(), undisturbed)


@pytest.mark.slow
def test_ranges_are_done_by_all_workers_and_a_killed_ones_again(
    installation: Installation, second_list: Path, undisturbed: dict[str, Any]
) -> None:
    job_id = installation.queue_import(second_list, announce=False)
    worker = installation.start_worker(processes=2)
    with installation.stalled(HOLD_MERGE):
        wait_until(lambda: len(busy_with_ranges(installation, job_id)) == 2)
        leader = int(installation.rows(f"SELECT split_part(worker, ':', 2) FROM jobs_job WHERE id = {job_id}")[0][0])
        (helper,) = {child.pid for child in psutil.Process(worker.pid).children()} - {leader}
        os.kill(helper, signal.SIGKILL)
    installation.wait_for_job("status = 'succeeded' AND attempt = 1")
    assert_same(installation.landed(), undisturbed)


def busy_with_ranges(installation: Installation, job_id: int) -> list[tuple[Any, ...]]:
    """Ranges of the job whose rows are locked."""
    with installation.connect() as connection, connection.transaction():
        every = connection.execute(f"SELECT id FROM jobs_jobrange WHERE job_id = {job_id}").fetchall()  # type: ignore[call-overload]
        free = connection.execute(
            f"SELECT id FROM jobs_jobrange WHERE job_id = {job_id} FOR UPDATE SKIP LOCKED"  # type: ignore[call-overload]
        ).fetchall()
    return [row for row in every if row not in free]


@pytest.mark.slow
def test_a_killed_command_is_finished_by_the_next(
    installation: Installation, second_list: Path, undisturbed: dict[str, Any]
) -> None:
    command = installation.start_import(second_list)
    installation.wait_for_job(MERGING)
    with installation.stalled(HOLD_MERGE):
        kill(command)
    done = json.loads(installation.run("manage.py", "recalculate_scores", "--json"))
    assert (done["leads"], done["changed"]) == (KNOWN + NEW, 0)
    assert_same(installation.landed(), undisturbed)


@pytest.mark.slow
def test_postgresql_crashes_while_reading_and_while_merging(
    servers: Installation, installation: Installation, second_list: Path, undisturbed: dict[str, Any]
) -> None:
    """Its unlogged staging is emptied; what was merged stays, and the rest is read again."""
    command = installation.start_import(second_list)
    installation.wait_for_job(READING)
    batch_id = installation.rows("SELECT max(id) FROM imports_importbatch")[0][0]
    lock_staging = f"LOCK TABLE import_staged_{batch_id} IN ACCESS EXCLUSIVE MODE"
    # Our own connections end with the server.
    with contextlib.suppress(psycopg.OperationalError), installation.stalled(lock_staging):
        crash_postgresql(servers)
    wait_until(lambda: answers(installation))
    installation.wait_for_job(MERGING)
    with contextlib.suppress(psycopg.OperationalError), installation.stalled(HOLD_MERGE):
        crash_postgresql(servers)
    wait_until(lambda: answers(installation))
    assert installation.rows("SELECT count(*) > 0 FROM imports_importrow WHERE batch_id = 2") == [(True,)]
    said, _ = command.communicate(timeout=PATIENCE)
    assert command.returncode == 0, said
    report = json.loads(said)
    assert (report["created"], report["updated"], report["unchanged"]) == (NEW, KNOWN, AGAIN)
    assert_same(installation.landed(), undisturbed)


@pytest.mark.slow
def test_a_cancelled_import_stops_at_the_next_chunk_and_says_what_landed(
    installation: Installation, second_list: Path
) -> None:
    command = installation.start_import(second_list)
    with installation.stalled(HOLD_MERGE), installation.connect() as connection:  # as cancel_job does
        connection.execute("UPDATE jobs_job SET is_cancel_requested = true WHERE status = 'running'")
    said, _ = command.communicate(timeout=PATIENCE)
    landed = installation.rows("SELECT count(*), count(lead_id) FROM imports_importrow WHERE batch_id = 2")[0]
    assert 0 < landed[0] < ROWS
    assert command.returncode == 1
    assert json.loads(said) == {
        "error": f"The import is cancelled: it was stopped. {landed[1]:,} of {ROWS:,} rows had landed before."
    }
    batch = installation.rows(
        "SELECT batch.status, created + updated + unchanged + rejected, job.status, job.finished_at IS NOT NULL "
        "FROM imports_importbatch batch JOIN jobs_job job ON job.id = job_id WHERE batch.id = 2"
    )
    assert batch == [("started", landed[0], "cancelled", True)]
    # What landed is scored as soon as anybody sweeps, and the next import takes the staging tables away.
    swept = installation.run_code(
        "from django.utils import timezone\n"
        "from scoring.operations import sweep\n"
        "from scoring.queries import verify_scores\n"
        "sweep(at=timezone.now())\n"
        "print(verify_scores(at=timezone.now()))"
    )
    assert swept == str(
        {"leads": len(installation.landed()["leads"]), "differences": 0, "due": 0, "newer": 0, "pending": 0}
    )


@pytest.mark.slow
def test_a_chunk_longer_than_the_heartbeat_is_not_taken_for_death(installation: Installation) -> None:
    job_id = installation.run_code(START_RECALCULATION)
    with psycopg.connect(installation.database_url) as worker:
        worker.execute(
            "UPDATE jobs_job SET status = 'running', worker = 'elsewhere:1:1.00', attempt = 1, "
            "heartbeat_at = now() - interval '10 minutes' WHERE id = %s",
            [job_id],
        )
        worker.commit()
        worker.execute("UPDATE jobs_job SET chunk = chunk + 1 WHERE id = %s", [job_id])  # it is at work
        code = f"from jobs.operations import run_job\nprint(run_job(job_id={job_id}))"
        assert installation.run_code(code) == "None"
        worker.rollback()  # its host lost power
    assert installation.run_code(code).endswith("(succeeded)")


# Claims, one at a time ------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Kind "test": two chunks; the list holds the attempt of each that ran."""
    chunks: list[int] = []

    def handler(run: JobRun) -> dict[str, Any]:
        for _ in range(2):
            with run.chunk():
                chunks.append(run.job.attempt)
                run.done += 1
        return {"chunks": run.done}

    monkeypatch.setitem(registry._kinds, "test", registry.Kind(handler))
    return chunks


def make_job(**fields: Any) -> Job:
    job = start_job(kind="test", title="Test", at=NOW, announce=False)
    Job.objects.filter(pk=job.pk).update(**fields)
    return job


def running(worker: str, *, silent: dt.timedelta = dt.timedelta(0), **fields: Any) -> Job:
    return make_job(status="running", worker=worker, attempt=1, heartbeat_at=timezone.now() - silent, **fields)


def dead_worker() -> str:
    """Identity of a process of this host that has ended."""
    code = "from jobs.identity import worker_identity; print(worker_identity())"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "leadscore.settings"}
    setup = f"import django; django.setup(); {code}"
    done = subprocess.run([sys.executable, "-c", setup], cwd=ROOT, env=environment, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.mark.django_db
def test_a_worker_that_died_on_this_host_is_seen_at_once(counted: list[int]) -> None:
    worker = dead_worker()
    assert worker.startswith(f"{socket.gethostname()}:")
    assert is_dead_here(worker)
    assert not is_dead_here(worker_identity())
    job = running(worker)
    assert abandoned_job_ids() == [job.pk]
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, ended.attempt, counted) == ("succeeded", 2, [2, 2])


@pytest.mark.django_db
def test_a_worker_elsewhere_is_dead_when_it_has_been_silent(counted: list[int]) -> None:
    job = running("elsewhere:1:1.00", silent=STALE_AFTER - dt.timedelta(seconds=10))
    assert (abandoned_job_ids(), run_job(job_id=job.pk), counted) == ([], None, [])
    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - STALE_AFTER - dt.timedelta(seconds=1))
    assert abandoned_job_ids() == [job.pk]
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, counted) == ("succeeded", [2, 2])


@pytest.mark.django_db
def test_a_process_takes_up_again_what_it_was_interrupted_at(counted: list[int]) -> None:
    job = running(worker_identity(), error="Interrupted: the server closed the connection")
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, ended.error, counted) == ("succeeded", "", [2, 2])


@pytest.mark.django_db
def test_an_attempt_that_was_overtaken_writes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(run: JobRun) -> dict[str, Any]:
        with run.chunk():
            run.done = 1
        Job.objects.filter(pk=run.job.pk).update(attempt=run.job.attempt + 1)  # another process claims it
        with run.chunk():
            run.done = 2
        raise AssertionError("unreachable")

    monkeypatch.setitem(registry._kinds, "test", registry.Kind(handler))
    job = make_job()
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, ended.done, ended.attempt) == ("running", 1, 2)


@pytest.mark.django_db
def test_cancelling_stops_before_the_next_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(run: JobRun) -> dict[str, Any]:
        with run.chunk():
            run.done = 1
        assert cancel_job(job_id=run.job.pk)
        with run.chunk():
            run.done = 2
        raise AssertionError("unreachable")

    monkeypatch.setitem(registry._kinds, "test", registry.Kind(handler))
    job = make_job()
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, ended.done, ended.finished_at is not None) == ("cancelled", 1, True)
    assert not cancel_job(job_id=job.pk)
    assert run_job(job_id=job.pk) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "error", [OperationalError, InterfaceError, psycopg.errors.AdminShutdown, psycopg.InterfaceError]
)
def test_a_lost_connection_is_no_failure(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """A COPY raises psycopg's errors, everything else Django's."""

    def handler(run: JobRun) -> dict[str, Any]:
        raise error("terminating connection")

    monkeypatch.setitem(registry._kinds, "test", registry.Kind(handler))
    monkeypatch.setattr("jobs.operations.connection", Mock())  # this test's own connection stays
    job = make_job(announced_at=NOW)
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, ended.announced_at, ended.finished_at) == ("queued", None, None)
    assert ended.error == f"{error.__name__}: terminating connection"


@pytest.mark.django_db
def test_an_interrupted_job_is_queued_as_soon_as_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    away, pauses = [1, 2, 3], []
    update = QuerySet.update

    def refuse_at_first(self: QuerySet, **values: Any) -> int:
        if values.get("status") == Job.Status.QUEUED and away:
            away.pop()
            raise OperationalError("the database system is starting up")
        return update(self, **values)

    def handler(run: JobRun) -> dict[str, Any]:
        raise OperationalError("terminating connection")

    monkeypatch.setitem(registry._kinds, "test", registry.Kind(handler))
    monkeypatch.setattr("jobs.operations.connection", Mock())
    monkeypatch.setattr("jobs.operations.time.sleep", pauses.append)
    monkeypatch.setattr(QuerySet, "update", refuse_at_first)
    ended = run_job(job_id=make_job(announced_at=NOW).pk)
    assert ended is not None
    assert (ended.status, ended.announced_at, len(pauses)) == ("queued", None, 3)


def test_a_call_that_finds_the_database_away_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def away_at_first(*, job_id: int, invite: Any) -> None:
        calls.append(job_id)
        if len(calls) == 1:
            raise OperationalError("the database system is starting up")

    monkeypatch.setattr("jobs.tasks.run_job", away_at_first)
    run.apply(args=[7])
    assert calls == [7, 7]


@pytest.mark.django_db
def test_a_job_whose_worker_dies_each_time_is_given_up(counted: list[int]) -> None:
    job = running("elsewhere:1:1.00", silent=2 * STALE_AFTER)
    Job.objects.filter(pk=job.pk).update(attempt=MAX_ATTEMPTS)
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert (ended.status, counted) == ("failed", [])
    assert ended.error == f"Given up after {MAX_ATTEMPTS} attempts: the worker died each time."
    assert ended.finished_at is not None
    assert abandoned_job_ids() == []


@pytest.mark.django_db
def test_a_job_given_up_tells_its_last_interruption(counted: list[int]) -> None:
    job = make_job(attempt=MAX_ATTEMPTS, error="OperationalError: No space left on device")
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert ended.error == f"Given up after {MAX_ATTEMPTS} attempts: OperationalError: No space left on device"


@pytest.mark.django_db
def test_one_key_is_one_flight_at_a_time(counted: list[int]) -> None:
    def start(key: str | None) -> int:
        return start_job(kind="test", key=key, title="Test", at=NOW, announce=False).pk

    first = start("a")
    assert start("a") == first
    assert len({first, start("b"), start(None), start(None)}) == 4  # without a key there is nothing to share
    run_job(job_id=first)
    assert start("a") != first


@pytest.mark.django_db
def test_the_sweep_announces_what_waits_and_not_twice_in_a_row(
    counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr("jobs.tasks.run.delay", sent.append)
    waiting, alive = make_job(), running("elsewhere:1:1.00")
    lost = running("elsewhere:1:1.00", silent=2 * STALE_AFTER)
    assert sweep_jobs() == 2
    assert sent == [waiting.pk, lost.pk]
    assert alive.pk not in sent
    assert sweep_jobs() == 1  # a worker has a minute to take what was announced; a dead one's job cannot wait
    assert sent == [waiting.pk, lost.pk, lost.pk]


@pytest.mark.django_db
def test_with_the_broker_down_the_job_waits(
    counted: list[int], monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def refuse(job_id: int) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("jobs.tasks.run.delay", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        job = start_job(kind="test", title="Test", at=NOW)
    job.refresh_from_db()
    assert (job.status, job.announced_at) == ("queued", None)
