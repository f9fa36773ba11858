"""The keys of a cluster, asked of its API server as a pod of it."""

import json
import ssl
import tomllib
from pathlib import Path

import pytest

from tests.docs import examples
from tests.remote.test_clients import Authority
from tests.server.presets.genuine import PLATFORMS
from tests.server.presets.test_presets import JWKS, PAGE, TOP, allowed, loaded, signed
from tests.server.proofs.test_assertions import RSA
from tests.servers import Issuer
from tokenward.cli.live import ask
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.presets.kubernetes import INSIDE
from tokenward.server.settings import load

PODS = PLATFORMS["kubernetes"]
RULE = """
[[allow]]
caller = "pods"
claims = { sub = "system:serviceaccount:shop:orders" }
token  = "reports"
scope  = "reports:read"
"""


class ApiServer(Issuer):
    """Gives its keys to whoever shows that they are a pod."""

    password = "our-own-token-1"

    def _good(self, handler, path):
        if handler.headers.get("Authorization") != f"Bearer {self.password}":
            self._send(handler, b"{}", status=401)
        elif path == "/openid/v1/jwks":
            self._send(handler, json.dumps(self.jwks()).encode(), type="application/jwk-set+json")
        else:
            self._send(handler, b"{}", status=403)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def server(authority):
    with ApiServer(RSA, tls=authority.server_context()).serving() as server:
        yield server


@pytest.fixture
def folder(tmp_path, authority):
    """What every pod has."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text(ApiServer.password + "\n")
    (folder / "ca.crt").write_bytes(authority.file.read_bytes())
    return folder


def inside(server, folder, **more):
    found = tomllib.loads(TOP + examples(PAGE)["kubernetes-inside"].code + RULE)
    told = {"api_server": server.url, "service_account": str(folder)}
    found["callers"]["pods"] |= told | more
    return loaded(found)


def shown():
    return signed(PODS, {"iss": INSIDE})


def test_inside_a_cluster_nothing_but_the_audience_has_to_be_said():
    found = tomllib.loads(TOP + examples(PAGE)["kubernetes-inside"].code + RULE)
    proof = loaded(found).subjects["pods"].proof
    assert proof.issuer == "https://kubernetes.default.svc.cluster.local"
    assert proof.jwks_uri == "https://kubernetes.default.svc/openid/v1/jwks"
    assert proof.preset.service_account == "/var/run/secrets/kubernetes.io/serviceaccount"


async def test_the_keys_come_from_the_api_server_which_sees_that_we_are_a_pod(server, folder):
    settings = inside(server, folder)
    authorization = await allowed(settings, shown())
    assert authorization.grant.caller.subject == "pods|system:serviceaccount:shop:orders"
    assert server.asked == ["/openid/v1/jwks"]


async def test_the_token_that_we_show_is_the_one_that_is_there_now(server, folder):
    (folder / "token").write_text("another")
    settings = inside(server, folder)
    with pytest.raises(TemporarilyUnavailable) as caught:
        await allowed(settings, shown())
    assert "401" in caught.value.detail
    (folder / "token").write_text(ApiServer.password)
    assert await allowed(settings, shown())


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
async def test_without_a_service_account_of_our_own_nobody_is_asked(server, folder, missing):
    (folder / missing).unlink()
    with pytest.raises(TemporarilyUnavailable) as caught:
        await allowed(inside(server, folder), shown())
    assert "our own service account's token or ca.crt cannot be read" in caught.value.detail
    assert server.asked == []


async def test_a_stranger_who_answers_in_its_place_learns_no_token(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with ApiServer(RSA, tls=Authority(elsewhere).server_context()).serving() as stranger:
        with pytest.raises(TemporarilyUnavailable):
            await allowed(inside(stranger, folder), shown())
        assert stranger.seen == []


async def test_whoever_says_another_place_for_the_keys_is_asked_there_and_learns_no_token(folder):
    with Issuer(RSA).serving() as public:
        settings = inside(public, folder, api_server="", jwks_uri=public.jwks_uri)
        assert await allowed(settings, shown())
        assert public.asked == ["/jwks"]
        assert "authorization" not in public.seen[0]


def test_check_live_asks_the_api_server_as_a_pod_too(server, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (found,) = (it for it in ask(inside(server, folder)) if it.part == "callers.pods")
    assert (found.good, found.said) == (True, f"1 key of {INSIDE}")
    (folder / "token").write_text("another")
    (found,) = (it for it in ask(inside(server, folder)) if it.part == "callers.pods")
    assert not found.good
    assert ApiServer.password not in found.said


async def test_the_keys_of_a_cluster_that_nobody_can_reach_are_in_a_file(tmp_path):
    (tmp_path / "cluster.json").write_text(json.dumps(JWKS))
    path = tmp_path / "tokenward.toml"
    path.write_text(TOP + examples(PAGE)["kubernetes-file"].code + RULE)
    settings = load(path, {"CLUSTER_JWKS_FILE": str(tmp_path / "cluster.json")})
    assert settings.warnings == ()
    assert await allowed(settings, shown())


def test_a_folder_that_is_none_is_no_reason_not_to_start(server):
    settings = inside(server, Path("/nowhere"))
    assert settings.subjects["pods"].proof.own_keys(lambda: 0.0).current.keys == ()


def test_a_ca_that_is_no_certificate_is_told_like_one_that_is_missing(
    server, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (folder / "ca.crt").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cafile=folder / "ca.crt")
    (found,) = (it for it in ask(inside(server, folder)) if it.part == "callers.pods")
    assert "ca.crt cannot be read" in found.said
