"""How a message leaves the house: only to where it may, and never for longer than it may take."""

import dataclasses
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable

import pytest

from territories.webhooks.transport import (
    MOST_BYTES,
    DestinationRefused,
    FakeTransport,
    HttpTransport,
    Policy,
    Request,
    Result,
    Transport,
    check_url,
    read_url,
    why_refused,
)
from tests.territories.receivers import HERE, TLS, Handler, drip, receiver

STRICT = Policy()
QUICK = HttpTransport(policy=HERE, connect_seconds=0.5, total_seconds=1.0)


def post(url: str, body: bytes = b"{}") -> Request:
    return Request(url=url, headers={"webhook-id": "msg_1"}, body=body)


# Addresses of the web -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://hooks.example.com/", "Only https"),
        ("ftp://hooks.example.com/", "beginning with https://"),
        ("hooks.example.com/x", "beginning with https://"),
        ("//hooks.example.com/x", "beginning with https://"),
        ("https://joe:secret@hooks.example.com/", "name and password"),
        ("https://@hooks.example.com/", "name and password"),
        ("https://hooks.example.com:22/", "Port 22 is not taken, only 443 or 8443"),
        ("https://hooks.example.com:99999/", "not an address of the web"),
        ("https://hooks.example.com:x/", "not an address of the web"),
        ("https://hooks.example.com/#part", "after #"),
        ("https:///path", "no host"),
        ("https://", "no host"),
        ("https://hooks.example.com/a b", "without blanks"),
        ("https://hooks.example.com/\r\nX-Evil: 1", "without blanks"),
        ("https://hooks.example.com\\@evil.example/", "without blanks"),
        ("https://höoks.example.com/", "ASCII"),
        ("https://127.1/", "no name of a host"),
        ("https://0x7f.0.0.1/", "no name of a host"),
        ("https://0x7f000001/", "no name of a host"),
        ("https://2130706433/", "no name of a host"),
        ("https://017700000001/", "no name of a host"),
        ("https://hooks%2eexample.com/", "no name of a host"),
        ("https://-hooks.example.com/", "no name of a host"),
        ("https://[::1/", "not an address of the web"),
    ],
)
def test_an_address_that_nothing_is_sent_to(url: str, says: str) -> None:
    with pytest.raises(DestinationRefused, match=says):
        read_url(url, STRICT)


def test_an_address_is_taken_apart() -> None:
    plain = read_url("https://Hooks.Example.com./leads?key=1", STRICT)
    assert (plain.host, plain.port, plain.target, plain.host_header) == (
        "hooks.example.com", 443, "/leads?key=1", "hooks.example.com",
    )  # fmt: skip
    assert read_url("https://hooks.example.com:8443", STRICT).host_header == "hooks.example.com:8443"
    assert read_url("https://[2606:4700::1111]/", STRICT).host_header == "[2606:4700::1111]"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.254",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "100.100.100.200",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2002:a9fe:a9fe::",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::c0a8:1",
        "64:ff9b:1::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert why_refused(ipaddress.ip_address(address), STRICT)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.1.1",
        "223.255.255.254",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "2002:101:101::",
        "64:ff9b::101:101",
        "2a00:1450::1",
    ],
)
def test_a_public_address_is_not(address: str) -> None:
    assert why_refused(ipaddress.ip_address(address), STRICT) == ""


def test_a_network_of_ones_own_is_reached_when_it_is_allowed_but_never_a_clouds_own_service() -> None:
    inside = Policy(allowed_networks=(ipaddress.ip_network("10.20.0.0/16"), ipaddress.ip_network("169.254.0.0/16")))
    assert why_refused(ipaddress.ip_address("10.20.3.4"), inside) == ""
    assert why_refused(ipaddress.ip_address("::ffff:10.20.3.4"), inside) == ""
    assert why_refused(ipaddress.ip_address("10.21.0.1"), inside) == "a private address"
    assert why_refused(ipaddress.ip_address("169.254.169.254"), inside)


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    with pytest.raises(DestinationRefused, match=r"mixed.example.com resolves to 10\.0\.0\.5, a private address"):
        check_url("https://mixed.example.com/", STRICT, resolve=lambda host, port: ["1.1.1.1", "10.0.0.5"])
    check_url("https://good.example.com/", STRICT, resolve=lambda host, port: ["1.1.1.1", "2606:4700::1111"])


def test_the_systems_resolver_is_believed_about_this_machine_only_to_refuse_it() -> None:
    with pytest.raises(DestinationRefused, match="this machine itself"):
        check_url("https://localhost/", STRICT)


def test_a_name_that_does_not_resolve_says_so_and_one_that_takes_too_long_too() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def slow(host: str, port: int) -> list[str]:
        time.sleep(2)
        return ["1.1.1.1"]

    with pytest.raises(DestinationRefused, match=r"nowhere.example.com does not resolve"):
        check_url("https://nowhere.example.com/", STRICT, resolve=unknown)
    started = time.monotonic()
    result = dataclasses.replace(QUICK, resolve=slow).send(post("https://slow.example.com/"))
    assert "did not resolve within" in result.error
    assert time.monotonic() - started < 1.5


# What every transport does --------------------------------------------------------------------------------------------


def real(policy: Policy, resolve: Callable[[str, int], list[str]]) -> Transport:
    return HttpTransport(policy=policy, resolve=resolve)


def fake(policy: Policy, resolve: Callable[[str, int], list[str]]) -> Transport:
    return FakeTransport(policy=policy, resolve=resolve)


@pytest.mark.parametrize("make", [real, fake])
def test_the_default_refuses_this_machine_and_sends_nothing(make: Callable[..., Transport]) -> None:
    with receiver() as server:
        for resolve in (lambda host, port: ["127.0.0.1"], lambda host, port: ["::1"]):
            policy = dataclasses.replace(HERE, allowed_networks=())
            result = make(policy, resolve).send(post(f"http://evil.example.com:{server.port}/"))
            assert result.status is None
            assert "this machine itself" in result.error
        assert "Only https" in make(STRICT, lambda host, port: ["1.1.1.1"]).send(post(server.url)).error
    assert server.received == []


@pytest.mark.parametrize("make", [real, fake])
def test_what_is_taken_has_a_status_and_no_error(make: Callable[..., Transport]) -> None:
    with receiver(204) as server:
        result = make(HERE, lambda host, port: ["127.0.0.1"]).send(post(server.url))
    assert (result.status, result.error, result.is_taken) == (204, "", True)
    assert result.duration_ms > 0


# Over the network -----------------------------------------------------------------------------------------------------


def test_it_posts_the_body_with_the_headers_to_the_name() -> None:
    with receiver(200) as server:
        transport = dataclasses.replace(QUICK, resolve=lambda host, port: ["127.0.0.1"])
        assert transport.send(post(f"http://hooks.example.com:{server.port}/in?key=1", b'{"a":1}')).is_taken
    (received,) = server.received
    assert (received.path, received.body) == ("/in?key=1", b'{"a":1}')
    assert received.headers["host"] == f"hooks.example.com:{server.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == "msg_1"
    assert received.headers["connection"] == "close"


def test_no_proxy_of_the_environment_gets_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(200) as proxy, receiver(200) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert QUICK.send(post(server.url)).is_taken
        assert (len(server.received), len(proxy.received)) == (1, 0)


def test_a_name_that_answers_differently_the_second_time_gains_nothing() -> None:
    """Rebinding: the connection goes to the address that was checked; nobody asks a second time."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    # Of this machine's addresses only one may be reached, and nothing listens there.
    policy = dataclasses.replace(HERE, allowed_networks=(ipaddress.ip_network("127.0.0.2/32"),))
    with receiver() as server:
        transport = dataclasses.replace(QUICK, policy=policy, resolve=rebinding)
        first = transport.send(post(f"http://rebinds.example.com:{server.port}/"))
        second = transport.send(post(f"http://rebinds.example.com:{server.port}/"))
    assert server.received == []
    assert "refused" in first.error.lower()
    assert "resolves to 127.0.0.1, this machine itself" in second.error
    assert len(asked) == 2


def test_the_next_address_is_tried_when_the_first_takes_no_connection() -> None:
    with receiver() as server:
        transport = dataclasses.replace(QUICK, resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
        assert transport.send(post(f"http://two.example.com:{server.port}/")).is_taken


def test_a_redirect_is_not_followed_and_says_so() -> None:
    with receiver(200) as inner, receiver(lambda handler, _: handler.say(302, Location=inner.url)) as server:
        result = QUICK.send(post(server.url))
    assert (result.status, result.is_taken) == (302, False)
    assert f"a redirect to {inner.url}" in result.error
    assert inner.received == []


def test_a_failure_tells_what_the_receiver_said_in_one_plain_line() -> None:
    def fail(handler: Handler, number: int) -> None:
        handler.say(503, b"<b>down</b>\x00\n\nfor  now" + b"!" * 1000, Retry_After="120")

    with receiver(fail) as server:
        result = QUICK.send(post(server.url))
    assert (result.status, result.retry_after) == (503, "120")
    assert result.error.startswith("It answered 503: <b>down</b> for now!!!")
    assert len(result.error) < 400


def test_of_a_huge_answer_only_the_beginning_is_read() -> None:
    sent: list[int] = []

    def flood(handler: Handler, number: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(4_000):
            sent.append(handler.wfile.write(b"x" * 65_536) or 0)

    with receiver(flood) as server:
        started = time.monotonic()
        assert QUICK.send(post(server.url)).is_taken
        assert time.monotonic() - started < 0.9
        time.sleep(0.2)
    assert len(sent) < 400, "the receiver could send more than buffers hold"
    assert MOST_BYTES == 16 * 1024


def never(handler: Handler, number: int) -> None:
    time.sleep(3)


def drip_status(handler: Handler, number: int) -> None:
    drip(handler, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 200, seconds=0.05)


def drip_continues(handler: Handler, number: int) -> None:
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


@pytest.mark.parametrize("answer", [never, drip_status, drip_continues])
def test_a_receiver_that_takes_its_time_is_left_at_the_deadline(answer: Callable[[Handler, int], None]) -> None:
    with receiver(answer) as server:
        started = time.monotonic()
        result = QUICK.send(post(server.url))
        spent = time.monotonic() - started
    assert (result.status, result.error) == (None, "No answer within 1 s.")
    assert 0.9 < spent < 1.6
    assert 900 < result.duration_ms < 1600


def test_a_status_counts_even_if_the_rest_of_the_answer_never_ends() -> None:
    def drip_body(handler: Handler, number: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "5000")
        handler.end_headers()
        drip(handler, b"z" * 5000, seconds=0.05)

    with receiver(drip_body) as server:
        started = time.monotonic()
        assert QUICK.send(post(server.url)).is_taken
        assert time.monotonic() - started < 1.6


def test_nobody_listens_or_it_hangs_up_or_speaks_another_tongue() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "No connection: Connection refused" in QUICK.send(post(f"http://127.0.0.1:{port}/")).error
    with receiver(lambda handler, _: handler.connection.close()) as server:
        assert "closed the connection" in QUICK.send(post(server.url)).error
    with receiver(lambda handler, _: handler.wfile.write(b"220 mail.example.com ESMTP\r\n")) as server:
        assert "is not HTTP" in QUICK.send(post(server.url)).error


def test_a_connection_that_is_not_taken_ends_after_its_own_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        result = QUICK.send(post(f"http://127.0.0.1:{port}/"))
        assert time.monotonic() - started < 0.9
        for one in waiting:
            one.close()
    assert result.error == "No connection within 0.5 s."


# TLS ------------------------------------------------------------------------------------------------------------------


def trusting_the_test() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(TLS / "certificate.pem"))


def to_this_machine(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_said() -> None:
    with receiver(tls=True) as server:
        transport = dataclasses.replace(QUICK, resolve=to_this_machine)
        result = transport.send(post(f"https://hooks.example.com:{server.port}/"))
    assert result.status is None
    assert "certificate is not trusted: self-signed certificate" in result.error
    assert server.received == []


def test_a_certificate_must_be_for_the_name_though_the_connection_goes_to_an_address() -> None:
    with receiver(tls=True) as server:
        transport = dataclasses.replace(QUICK, resolve=to_this_machine, context=trusting_the_test)
        assert transport.send(post(f"https://hooks.example.com:{server.port}/")).is_taken
        wrong = transport.send(post(f"https://other.example.com:{server.port}/"))
        bare = transport.send(post(f"https://127.0.0.1:{server.port}/"))
    assert "Hostname mismatch" in wrong.error
    assert "IP address mismatch" in bare.error
    assert (wrong.error.endswith(".."), bare.error.endswith("..")) == (False, False)
    assert len(server.received) == 1


def test_a_receiver_that_stops_in_the_middle_of_the_handshake_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        started = time.monotonic()
        result = dataclasses.replace(QUICK, resolve=to_this_machine).send(post(f"https://hooks.example.com:{port}/"))
    assert result.error == "No answer within 1 s."
    assert time.monotonic() - started < 1.6


def test_http_on_a_port_for_https_is_no_secure_connection() -> None:
    with receiver() as server:
        result = QUICK.send(post(f"https://127.0.0.1:{server.port}/"))
    assert result == Result(error=result.error, duration_ms=result.duration_ms)
    assert result.error.startswith("No secure connection")
