"""Tokens that are bound to a client certificate (RFC 8705)."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import serialization

from gateway import client_certificate
from world import World, assert_allowed, assert_refused


class Certificate:
    def __init__(self, world: World, name: str):
        self.files = client_certificate(world.run_dir, name)
        from cryptography import x509

        loaded = x509.load_pem_x509_certificate(self.files[0].read_bytes())
        der = loaded.public_bytes(serialization.Encoding.DER)
        self.field = f":{base64.b64encode(der).decode()}:"
        self.digest = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


@pytest.fixture
def own(world: World) -> Certificate:
    return Certificate(world, "own-client")


@pytest.fixture
def other(world: World) -> Certificate:
    return Certificate(world, "other-client")


def bound(world: World, certificate: Certificate):
    caller = world.engineer()
    return caller, caller.token(cnf={"x5t#S256": certificate.digest})


def test_behind_a_terminator(world: World, own: Certificate, other: Certificate):
    caller, token = bound(world, own)

    def send(**headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return world.send("certificate_header", token=token, caller=caller, headers=named)

    assert_allowed(send(Client_Cert=own.field))
    assert not [value for value in world.the_request().all("client-cert") if value], "it is taken off"
    assert_refused(send(Client_Cert=other.field), 401, "CERTIFICATE_MISMATCH")
    assert_refused(send(), 401, "CERTIFICATE_REQUIRED")
    assert_refused(send(Client_Cert=own.field[1:-1]), 401, "CERTIFICATE_REQUIRED")


def test_a_header_that_nobody_configured(world: World, own: Certificate):
    if world.gateway.no_mtls:
        pytest.skip(world.gateway.no_mtls)
    caller, token = bound(world, own)
    reply = world.send("certificate", token=token, caller=caller, headers={"Client-Cert": own.field})
    assert_refused(reply, 401, "CERTIFICATE_REQUIRED")
    world.nothing_reached()


def test_over_tls(world: World, own: Certificate, other: Certificate):
    if world.gateway.no_mtls:
        pytest.skip(world.gateway.no_mtls)
    caller, token = bound(world, own)
    assert_allowed(world.send("certificate", token=token, caller=caller, certificate=own.files))
    assert_refused(
        world.send("certificate", token=token, caller=caller, certificate=other.files), 401, "CERTIFICATE_MISMATCH"
    )
    assert_refused(world.send("certificate", token=token, caller=caller), 401, "CERTIFICATE_REQUIRED")
    # a token that is bound to none is anybody's who has it
    free = world.engineer()
    assert_allowed(world.send("certificate", caller=free))
