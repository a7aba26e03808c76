"""What others may try against the contractors' API, with or without a token; and that nothing comes of it."""

import base64
import datetime as dt
import logging
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLResolver, get_resolver
from django.utils import timezone

from accounts.models import ApiToken, IdempotencyKey
from territories.models import Contractor, Referral, ReferralEvent, ReferralReturn
from tests.api import problem
from tests.factories import make_scored_lead, make_tag
from tests.territories.contractors import (
    BASE,
    STEPS,
    contractor_routes,
    make_login,
    make_user,
    post,
    program_of,
    token_client,
)
from tests.territories.factories import make_referral

pytestmark = pytest.mark.django_db
LIST = f"{BASE}/referrals"
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
SECRET = "PRUDENCE SECRET"


@pytest.fixture(autouse=True)
def patient_limits(settings) -> None:
    """These tests ask more than a contractor may in a minute."""
    settings.CONTRACTOR_READS = settings.CONTRACTOR_WRITES = 100_000


@pytest.fixture
def alder() -> Contractor:
    return make_login("Alder Roofing")


@pytest.fixture
def birch() -> Contractor:
    return make_login("Birch Homes")


def referrals_of(contractor: Contractor) -> dict[str, Referral]:
    """One in each state, of leads with a name that no answer to others may hold."""
    made = {}
    for status in ("assigned", "delivered", "converted", "returned", "expired", "cancelled"):
        lead = make_scored_lead(tags=[], owner_name=SECRET)
        made[status] = make_referral(
            status=status,
            lead=lead,
            contractor=contractor,
            at=timezone.now(),
            receipt={"lead": {"owner_name": SECRET}} if status != "assigned" else None,
        )
    return made


def everything() -> tuple[Any, ...]:
    """All that a step could change."""
    return (
        list(Referral.objects.order_by("pk").values()),
        ReferralEvent.objects.count(),
        ReferralReturn.objects.count(),
    )


# As another contractor ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_sandbox", [False, True])
def test_every_url_walked_with_anothers_ids_finds_nothing_and_changes_nothing(alder, birch, is_sandbox) -> None:
    theirs, program = referrals_of(alder), program_of(birch, is_sandbox=is_sandbox)
    program.get(f"{BASE}/me")  # a sandbox is made when it is first asked for
    before, walked = everything(), 0
    for route, view in contractor_routes():
        if "{pk}" not in route:
            continue
        step = route.rpartition("/")[2]
        for referral in theirs.values():
            address = route.replace("{pk}", str(referral.pk))
            for method in METHODS:
                if method == "post":
                    response = post(program, address, STEPS.get(step))
                else:
                    response = getattr(program, method)(address)
                is_served = {"head": "GET"}.get(method, method.upper()) in view.permissions
                assert response.status_code == (404 if is_served else 405), (method, address)
                assert SECRET.encode() not in response.content
                walked += 1
    assert walked == 5 * 6 * len(METHODS)
    assert everything() == before


def test_anothers_id_is_told_of_as_one_that_never_was(alder, birch) -> None:
    theirs, program = referrals_of(alder)["delivered"], program_of(birch)
    unknown = theirs.pk + 100_000
    for path, body in (("", None), *((f"/{step}", body) for step, body in STEPS.items())):
        ask = (lambda at: program.get(at)) if not path else (lambda at, body=body: post(program, at, body))
        there, nowhere = (ask(f"{LIST}/{pk}{path}") for pk in (theirs.pk, unknown))
        told = [problem(response, 404) | {"detail": ""} for response in (there, nowhere)]
        assert told[0] == told[1]
        assert there.json()["detail"].replace(str(theirs.pk), "") == nowhere.json()["detail"].replace(str(unknown), "")


def test_generated_ones_are_nobodys(alder) -> None:
    waiting, program = make_referral(status="generated"), program_of(alder)
    before = everything()
    problem(program.get(f"{LIST}/{waiting.pk}"), 404)
    for step, body in STEPS.items():
        problem(post(program, f"{LIST}/{waiting.pk}/{step}", body), 404)
    assert everything() == before


def test_no_list_or_count_holds_anything_of_another(alder, birch) -> None:
    referrals_of(alder)
    program = program_of(birch)
    for query in ("", "?status=delivered", "?zip=07030", "?score_min=-2147483647", "?assigned_from=2000-01-01"):
        assert program.get(f"{LIST}{query}").json() == {"next": None, "results": []}
    assert program.get(f"{BASE}/usage").json()["total"]["used"] == 0
    assert program.get(f"{BASE}/territories").json()["results"] == []


def test_anothers_cursor_leads_through_ones_own_rows_only(alder, birch) -> None:
    for _ in range(3):
        make_referral(contractor=alder)
    own = {make_referral(contractor=birch).pk for _ in range(3)}
    url = program_of(alder).get(f"{LIST}?limit=1").json()["next"]
    rows = program_of(birch).get(url.replace("limit=1", "limit=50")).json()["results"]
    assert {row["id"] for row in rows} <= own


def test_a_key_of_another_contractor_tells_nothing_of_it(alder, birch) -> None:
    theirs = referrals_of(alder)["delivered"]
    first = post(program_of(alder), f"{LIST}/{theirs.pk}/accept", key="shared")
    assert (first.status_code, SECRET.encode() in first.content) == (200, True)
    stolen = post(program_of(birch), f"{LIST}/{theirs.pk}/accept", key="shared")
    problem(stolen, 404)
    assert SECRET.encode() not in stolen.content
    own = referrals_of(birch)["delivered"]
    assert post(program_of(birch), f"{LIST}/{own.pk}/accept", key="shared").status_code == 200


def test_a_kept_answer_is_not_told_to_a_login_that_lost_the_referral(alder, birch) -> None:
    referral = referrals_of(alder)["delivered"]
    program = program_of(alder)
    assert post(program, f"{LIST}/{referral.pk}/accept", key="mine").status_code == 200
    Referral.objects.filter(pk=referral.pk).update(contractor=birch)
    problem(post(program, f"{LIST}/{referral.pk}/accept", key="mine"), 404)


def test_a_key_with_another_body_or_route_is_refused(alder) -> None:
    mine, program = referrals_of(alder), program_of(alder)
    at = f"{LIST}/{mine['delivered'].pk}"
    assert post(program, f"{at}/convert", {"value": 5}, key="k").status_code == 200
    before = everything()
    for address, body in (
        (f"{at}/convert", {"value": 6}),
        (f"{at}/return", {"reason": "sold"}),
        (f"{LIST}/{mine['converted'].pk}/convert", {"value": 5}),
    ):
        assert problem(post(program, address, body, key="k"), 422)["code"] == "idempotency_key_reused"
    assert everything() == before
    assert IdempotencyKey.objects.count() == 1


# With the wrong token -------------------------------------------------------------------------------------------------


def test_staff_routes_are_closed_to_contractors(alder) -> None:
    from leadscore.api_urls import urlpatterns

    program, asked = program_of(alder), 0
    for pattern in urlpatterns:
        route = str(pattern.pattern)
        if route.startswith(("contractor/", "^")) or route in ("schema", "docs"):
            continue
        address = "/api/" + route.replace("<int:pk>", "1")
        for method in ("get", "post", "patch"):
            if hasattr(pattern.callback.cls, method):
                problem(getattr(program, method)(address), 403)
                asked += 1
    assert asked > 20


# Pages that everybody who is logged in may see; they show nothing of the staff's.
FOR_ALL = {"", "me/", "login/", "admin/login/", "logout/", "healthz"}


def pages() -> list[str]:
    """An address of every page of the project, with ids and ZIPs filled in."""
    found = []

    def walk(resolver: URLResolver, before: str) -> None:
        for pattern in resolver.url_patterns:
            route = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                if not route.startswith(("api/", "admin/")):
                    walk(pattern, route)
            else:
                found.append(re.sub(r"<(\w+):\w+>", lambda kind: "1" if kind[1] == "int" else "07030", route))

    walk(get_resolver(), "")
    return found


def test_no_page_of_the_staff_opens_to_a_contractor(alder) -> None:
    make_scored_lead(tags=[], pk=1)
    client = Client(raise_request_exception=False)
    client.force_login(alder.user)
    walked = [address for address in pages() if address not in FOR_ALL]
    assert len(walked) > 40
    opened = [
        (method, address, status)
        for address in walked
        for method in ("get", "post")
        if (status := getattr(client, method)(f"/{address}").status_code) not in (403, 404, 405)
    ]
    assert opened == []
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize("change", ["expired", "revoked", "inactive", "cut", "longer"])
def test_a_token_that_no_longer_holds_opens_nothing(alder, change) -> None:
    made, token = ApiToken.objects.create(user=alder.user, name="old", expiry=None)
    if change == "expired":
        ApiToken.objects.filter(pk=made.pk).update(expiry=timezone.now() - dt.timedelta(seconds=1))
    elif change == "revoked":
        made.delete()
    elif change == "inactive":
        type(alder.user).objects.filter(pk=alder.user.pk).update(is_active=False)
    sent = {"cut": token[:-1], "longer": token + "0"}.get(change, token)
    response = Client().get(f"{BASE}/me", headers={"Authorization": f"Token {sent}"})
    refused = problem(response, 401)
    assert response["WWW-Authenticate"] == "Token"
    assert token not in response.content.decode()
    if change == "expired":
        assert "expired" in refused["detail"]


def test_who_loses_the_role_or_the_contractor_loses_the_api(alder) -> None:
    program = program_of(alder)
    assert program.get(f"{BASE}/me").status_code == 200
    alder.user.groups.clear()
    problem(program.get(f"{BASE}/me"), 403)
    alder.user.groups.set(make_user("x", "contractor").groups.all())
    Contractor.objects.filter(pk=alder.pk).update(user=None)
    problem(program.get(f"{BASE}/me"), 403)


MISPLACED = {
    "query": (lambda token: {"path": f"{BASE}/me?token={token}"}, "not in the address"),
    "api_key": (lambda token: {"path": f"{BASE}/me?API_KEY={token}"}, "not in the address"),
    "cookie": (lambda token: {"cookies": {"token": token}}, "not as a cookie"),
    "bearer": (lambda token: {"headers": {"Authorization": f"Bearer {token}"}}, "not Bearer"),
    "basic": (
        lambda token: {"headers": {"Authorization": "Basic " + base64.b64encode(f"alder:{token}".encode()).decode()}},
        "not Basic",
    ),
    "bare": (lambda token: {"headers": {"Authorization": token}}, "the word Token and a space"),
    "own header": (lambda token: {"headers": {"X-Api-Key": token}}, "under that name"),
    "body": (lambda token: {"method": "post", "path": f"{LIST}/1/accept", "body": {"token": token}}, "nor in the body"),
}


@pytest.mark.parametrize("place", MISPLACED)
def test_a_token_in_the_wrong_place_opens_nothing_and_is_told_where_it_belongs(alder, caplog, place) -> None:
    caplog.set_level(logging.DEBUG)
    _, token = ApiToken.objects.create(user=alder.user, name="test", expiry=None)
    how, words = MISPLACED[place]
    asked = {"method": "get", "path": f"{BASE}/me", "headers": {}, "cookies": {}, "body": None} | how(token)
    client = Client()
    for name, value in asked["cookies"].items():
        client.cookies[name] = value
    ask = getattr(client, asked["method"])
    body = {"data": asked["body"], "content_type": "application/json"} if asked["body"] else {}
    response = ask(asked["path"], headers=asked["headers"], **body)
    refused = problem(response, 401)
    assert words in refused["detail"]
    assert "Authorization: Token" in refused["detail"]
    assert response["WWW-Authenticate"] == "Token"
    assert token not in response.content.decode()
    assert token not in caplog.text


def test_a_token_beside_the_right_one_is_refused_unread(alder) -> None:
    refused = problem(program_of(alder).get(f"{BASE}/me?token=abcdef"), 400)
    assert "abcdef" not in str(refused)


def test_a_sandbox_token_never_sees_or_changes_a_real_referral(alder) -> None:
    real, sandbox = referrals_of(alder), program_of(alder, is_sandbox=True)
    sandbox.get(f"{BASE}/me")
    before = list(Referral.objects.real().order_by("pk").values())
    for referral in real.values():
        problem(sandbox.get(f"{LIST}/{referral.pk}"), 404)
        for step, body in STEPS.items():
            problem(post(sandbox, f"{LIST}/{referral.pk}/{step}", body), 404)
    post(sandbox, f"{BASE}/sandbox/reset")
    assert SECRET.encode() not in sandbox.get(f"{LIST}?limit=100").content
    assert list(Referral.objects.real().order_by("pk").values()) == before


def test_a_real_token_never_sees_or_changes_an_invented_referral(alder) -> None:
    sandbox, program = program_of(alder, is_sandbox=True), program_of(alder)
    invented = [row["id"] for row in sandbox.get(LIST).json()["results"]]
    before = everything()
    for pk in invented:
        problem(program.get(f"{LIST}/{pk}"), 404)
        for step, body in STEPS.items():
            problem(post(program, f"{LIST}/{pk}/{step}", body), 404)
    assert program.get(LIST).json()["results"] == []
    assert program.get(f"{BASE}/usage").json()["total"]["used"] == 0
    assert everything() == before


def test_one_sandbox_is_closed_to_another(alder, birch) -> None:
    mine, theirs = program_of(alder, is_sandbox=True), program_of(birch, is_sandbox=True)
    ids = {row["id"] for row in theirs.get(LIST).json()["results"]}
    assert ids.isdisjoint(row["id"] for row in mine.get(LIST).json()["results"])
    for pk in ids:
        problem(mine.get(f"{LIST}/{pk}"), 404)
    post(mine, f"{BASE}/sandbox/reset")
    assert {row["id"] for row in theirs.get(LIST).json()["results"]} == ids


# Odd values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pk", ["0", str(2**31), str(2**63 - 1), str(2**63), "9" * 40, "9" * 5000])
def test_huge_ids_are_unknown_ones(alder, pk) -> None:
    program = program_of(alder)
    problem(program.get(f"{LIST}/{pk}"), 404)
    problem(post(program, f"{LIST}/{pk}/convert", {"value": 1}), 404)


@pytest.mark.parametrize("pk", ["-1", "1.0", "1e3", "%00", "1%00", "null", "1;drop", "..", "%2e%2e%2fme"])
def test_what_is_no_id_is_no_address(alder, pk) -> None:
    assert program_of(alder).get(f"{LIST}/{pk}").status_code == 404


ODD = ("%25", "_____", "%00", "07030%00", "'%20OR%201=1--", "%F0%9F%92%A9", "%FF", "9" * 400)


@pytest.mark.parametrize("name", ["status", "zip", "score_min", "score_max", "assigned_from", "assigned_to", "cursor"])
def test_wildcards_nul_and_quotes_filter_nothing(alder, name) -> None:
    referrals_of(alder)
    program = program_of(alder)
    for text in ODD:
        assert name in problem(program.get(f"{LIST}?{name}={text}"), 400)["errors"], text


BODIES = (b"{", b"null", b"\xff", b'{"value": 1' + b"0" * 5000 + b"}", b"[" * 3000, b'"5"', b"5", b"[]")


def test_bodies_that_are_no_object_change_nothing(alder) -> None:
    referral, program = referrals_of(alder)["delivered"], program_of(alder)
    before = everything()
    for body in BODIES:
        problem(program.post(f"{LIST}/{referral.pk}/convert", body, content_type="application/json"), 400)
    assert everything() == before


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "application/x-www-form-urlencoded"])
def test_only_json_is_read(alder, media) -> None:
    referral = referrals_of(alder)["delivered"]
    problem(program_of(alder).post(f"{LIST}/{referral.pk}/convert", b"value=5", content_type=media), 415)


def test_a_refused_request_asks_the_database_little(alder) -> None:
    program = token_client(make_user("nobody", "contractor"))
    program.get(f"{BASE}/me")
    with CaptureQueriesContext(connection) as queries:
        program.get(f"{LIST}/1")
    assert len(queries) <= 4


def test_the_login_of_a_page_needs_its_csrf_token(alder) -> None:
    referral = referrals_of(alder)["delivered"]
    client = Client(enforce_csrf_checks=True)
    client.force_login(alder.user)
    assert post(client, f"{LIST}/{referral.pk}/accept").status_code == 403
    referral.refresh_from_db()
    assert referral.accepted_at is None


def test_tags_that_a_lead_loses_later_do_not_leak_into_a_kept_receipt(alder) -> None:
    """A receipt names the reasons of its day only, whatever is put on the lead afterwards."""
    lead = make_scored_lead(tags=[make_tag(name="Vacated")])
    referral = make_referral(status="assigned", lead=lead, contractor=alder, at=timezone.now())
    program = program_of(alder)
    first = program.get(f"{LIST}/{referral.pk}").json()["receipt"]
    lead.lead_tags.create(tag=make_tag(name="Interne Notiz"), assigned_at=timezone.now())
    assert program.get(f"{LIST}/{referral.pk}").json()["receipt"] == first
