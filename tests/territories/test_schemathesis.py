"""Attacks on every route of the API, made up from its own description: right data and wrong, never a 5xx."""

import contextlib
import itertools
import logging
import os
import traceback
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.core.cache import cache
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections, connection, transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import strategies as st
from schemathesis import GenerationMode

from accounts.models import ApiToken, User
from leadscore.wsgi import application
from tests.conftest import NOW
from tests.factories import assign, import_rows, make_lead, make_tag
from tests.territories.factories import make_contractor, make_referral, make_return, make_territory

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
# Attacks with right data and with wrong data each, on an operation by a caller; LEADSCORE_ATTACKS=100 looks deeper.
EXAMPLES = int(os.environ.get("LEADSCORE_ATTACKS", "2"))
DESCRIPTION: Any = SchemaGenerator().get_schema(request=None, public=True)
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
SCHEMA.app = application
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}


@pytest.fixture
def things(person) -> dict[str, Any]:
    """Two callers, and one of each thing by the part of an address that stands before its id."""
    lead, tag = make_lead(score=500), make_tag()
    assign(lead, tag)
    batch = import_rows("Address,City,State,Zip\n7 Main St,Hoboken,NJ,07030\n,,,\n", name="roll.csv")
    contractor = make_contractor(user=person("contractor"))
    territory = make_territory(contractor=contractor)
    referral = make_referral(lead=lead, contractor=contractor, territory=territory, at=NOW)
    return {
        "admin": person("admin"),
        "contractor": contractor.user,
        "ids": {
            "leads": lead.pk,
            "tags": tag.pk,
            "imports": batch.pk,
            "jobs": batch.job_id,
            "bulk-tag": batch.job_id,
            "contractors": contractor.pk,
            "territories": territory.pk,
            "referrals": referral.pk,
            "returns": make_return(referral=make_referral(contractor=contractor, territory=territory)).pk,
        },
    }


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """The application asks through the test's own connection, as Django's test client sees to."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def crashes() -> Iterator[list[str]]:
    """What broke behind an answer with 500."""
    found: list[str] = []

    def note(**kwargs: Any) -> None:
        found.append(traceback.format_exc())

    got_request_exception.connect(note)
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    yield found
    logging.getLogger("django.request").setLevel(logging.NOTSET)
    got_request_exception.disconnect(note)


def ids_of(path: str, ids: dict[str, int]) -> dict[str, int]:
    """The ids of things that are there, for the parameters of an address: `/api/leads/{id}/score` -> {"id": 7}."""
    parts = path.strip("/").split("/")
    return {
        part.strip("{}"): ids[before]
        for before, part in itertools.pairwise(parts)
        if part.startswith("{") and before in ids
    }


def test_every_operation_is_attacked() -> None:
    described = {f"{method.upper()} {path}" for path, methods in DESCRIPTION["paths"].items() for method in methods}
    assert set(OPERATIONS) == described
    assert len(described) > 15
    assert ids_of("/api/leads/{id}/score", {"leads": 7}) == {"id": 7}


@pytest.mark.parametrize("caller", ["admin", "contractor"])
@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_an_operation_never_breaks(label: str, caller: str, things: dict[str, Any], crashes: list[str]) -> None:
    user: User = things[caller]
    _, token = ApiToken.objects.create(user=user, name="attacks", expiry=None)
    headers = {"Authorization": f"Token {token}"}
    operation = OPERATIONS[label]
    known = ids_of(operation.path, things["ids"])
    answers: set[int] = set()

    def attack(case: Any, is_there: bool) -> None:
        if is_there and isinstance(case.path_parameters, dict):
            case.path_parameters.update(known)
        # Each attack meets the same things, in whatever order they come.
        with transaction.atomic():
            response = case.call(headers=headers)
            connection.check_constraints()  # what a commit would check
            transaction.set_rollback(True)
        answers.add(response.status_code)
        cache.clear()  # also what counts requests for rate limits: attacks shall get through
        assert response.status_code < 500, f"{case.as_curl_command()}\n{''.join(crashes[-1:])}"

    for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
        run = hypothesis.given(case=operation.as_strategy(generation_mode=mode), is_there=st.booleans())(attack)
        run = hypothesis.settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )(run)
        # What takes neither parameters nor a body cannot be called wrongly.
        cannot_fail = mode is GenerationMode.NEGATIVE and not operation.body and not operation.query
        with contextlib.suppress(*([hypothesis.errors.Unsatisfiable] if cannot_fail else [])):
            run()
    assert answers
    if caller == "contractor" and "/api/contractor/" not in label and label not in OPEN_TO_ALL:
        assert answers <= {400, 401, 403, 404, 405, 406, 415}, answers


OPEN_TO_ALL = {"GET /api/schema", "GET /api/docs"}
