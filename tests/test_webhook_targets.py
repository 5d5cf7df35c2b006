"""Events are sent to public addresses only, whatever host name or notation the URL has."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from regulars.webhooks import sending, targets
from tests.receiver import run_receiver
from tests.support import BOOTSTRAP_TOKEN, Client, Server, create_token, run_server

SPECIAL = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "100::1", "2001:db8::1", "2002:7f00:1::"),
    *("2002:a00:1::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "172.32.0.1", "2606:4700:4700::1111"),
    *("2a00:1450:4007:80e::200e", "::ffff:8.8.8.8", "64:ff9b::808:808"),
]

# Notations of this machine and of private addresses.
HERE = [
    *("https://127.0.0.1/", "https://localhost/", "https://127.1/", "https://2130706433/"),
    *("https://0x7f000001/", "https://0177.0.0.1/", "https://0/", "https://[::1]/"),
    *("https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://10.0.0.1/"),
    *("https://192.168.0.1:8443/", "https://169.254.169.254/latest/", "https://[fe80::1]/"),
    *("https://[64:ff9b::7f00:1]/", "https://[::]/"),
]
CREATE = """mutation($url: String!) { createWebhook(node: {type: "contact/signup", url: $url}) {
    id } }"""


@pytest.mark.parametrize("address", SPECIAL)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not targets.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_other_addresses_are_public(address: str) -> None:
    assert targets.is_public(ipaddress.ip_address(address))


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    scopes = ("customers", "webhooks")
    with Client(server, create_token(server, scopes=scopes)) as client:
        yield client


def test_private_addresses_are_rejected(client: Client) -> None:
    for url in HERE:
        error = client.expect_error("errors_invalid_input", CREATE, url=url)
        assert error["extensions"]["input_path"] == ["node", "url"], url
        assert "REGULARS_WEBHOOK_PRIVATE_TARGETS" in error["message"]
    assert client.data("{ webhooks { id } }") == {"webhooks": []}


def test_http_is_rejected_and_https_accepted(client: Client) -> None:
    error = client.expect_error("errors_invalid_input", CREATE, url="http://93.184.215.14/x")
    assert "must use `https`" in error["message"]
    assert client.data(CREATE, url="https://93.184.215.14/x")
    # A name that cannot be resolved now may be later.
    assert client.data(CREATE, url="https://nothing.invalid/x")
    update = """mutation { updateWebhook(id: 1, node: {url: "https://127.0.0.1/"}) { id } }"""
    client.expect_error("errors_invalid_input", update)


def test_the_address_of_the_connection_is_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: the first lookup returns a public address, later lookups this machine."""
    addresses = iter(["93.184.215.14", "127.0.0.1", "127.0.0.1"])

    def rebinding(_host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(addresses), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    connected: list[str] = []

    class RecordingBackend(httpcore.AnyIOBackend):
        async def connect_tcp(self, host: str, *_: Any, **__: Any) -> Any:
            connected.append(host)
            raise httpcore.ConnectError("not in a test")

    monkeypatch.setattr(httpcore, "AnyIOBackend", RecordingBackend)
    asyncio.run(targets.require_allowed("https://rebinding.example.com/", allows_private=False))
    network = sending.Network(allows_private=False)
    with pytest.raises(targets.ForbiddenTarget):
        asyncio.run(network.connect_tcp("rebinding.example.com", 443))
    assert connected == []
    with pytest.raises(httpcore.ConnectError):
        asyncio.run(sending.Network(allows_private=True).connect_tcp("rebinding.example.com", 443))
    assert connected == ["127.0.0.1"]


def test_a_host_with_a_private_address_is_rejected() -> None:
    with pytest.raises(targets.ForbiddenTarget):
        targets.require_public("both.example.com", ["8.8.8.8", "10.0.0.1"])
    targets.require_public("both.example.com", ["8.8.8.8", "1.1.1.1"])


@pytest.mark.slow
def test_a_private_target_receives_no_events_after_it_is_forbidden(tmp_path: Path) -> None:
    """Each delivery checks the current setting."""
    url = f"sqlite:///{tmp_path / 'r.db'}"
    with run_receiver() as receiver:
        with run_server(url, "--webhook-private-targets") as server:
            with Client(server, BOOTSTRAP_TOKEN) as client:
                client.data(CREATE, url=f"{receiver.url}/x")
                client.create("one@example.com")
                receiver.wait(1)
        with run_server(url) as server, Client(server, BOOTSTRAP_TOKEN) as client:
            client.create("two@example.com")
            document = """{ webhooks { deliveries(first: 1) { edges { node { sequence
                attempts { status error } } } } } }"""
            deadline = time.monotonic() + 60
            while True:
                edges = client.data(document)["webhooks"][0]["deliveries"]["edges"]
                if edges[0]["node"]["sequence"] == 2 and edges[0]["node"]["attempts"]:
                    break
                assert time.monotonic() < deadline
                time.sleep(0.05)
        (attempt,) = edges[0]["node"]["attempts"]
        assert attempt["status"] is None
        assert "not public" in attempt["error"]
        assert len(receiver.requests) == 1
