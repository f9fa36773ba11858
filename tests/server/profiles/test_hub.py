"""Tokens as a hub makes them, and issuers that are their keys."""

import sys
from math import inf

import httpx2
import pytest

from tests.docs import examples
from tests.hub import CLIENT_SECRET, KEY, OPEN_KEY, SECRET, settings
from tests.world import US, claims_of, header_of, lifespan
from tokenward.jose.identity import PublicKey
from tokenward.jose.jws import parse
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.server.app import application
from tokenward.server.keeping import periods
from tokenward.server.profiles.hub import HubSigner, name_of
from tokenward.server.settings import ConfigError, load


def loaded(tmp_path, *changes, **how):
    text = settings(audit=tmp_path / "audit.jsonl", **how)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "tokenward.toml"
    path.write_text(text)
    return load(path, {})


async def asked(tmp_path, *changes, token="threads", **how):
    """A token by client credentials at the hub's own endpoint, and the keys to look at it with."""
    app = application(loaded(tmp_path, *changes, **how))
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=US)
    async with lifespan(app), http:
        form = {"grant_type": "client_credentials", "audience": token}
        answer = await http.post("/hub/token", data=form, auth=("nightly", CLIENT_SECRET))
        jwks = await http.get("/hub/.well-known/jwks.json")
        metadata = await http.get("/hub/.well-known/openid-configuration")
    return answer, jwks.json(), metadata.json()


async def test_a_token_of_a_hub_says_who_and_which_key_and_when(tmp_path):
    answer, jwks, _ = await asked(tmp_path)
    token = answer.json()["access_token"]
    assert header_of(token) == {"alg": "Ed25519", "typ": "JWT"}
    claims = claims_of(token)
    assert list(claims) == ["iat", "iss", "sub", "exp"]
    assert claims["sub"] == "nightly"
    assert claims["exp"] == claims["iat"] + 3600
    assert answer.json()["expires_in"] == 3600
    issuer = PublicKey.from_string(claims["iss"])
    parts = parse(token)
    assert issuer.verify(parts.signed, parts.signature)
    [key] = jwks["keys"]
    assert PublicKey.from_jwk(key) == issuer
    assert (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "Ed25519")
    assert KeySet.parse(jwks).find(None, "Ed25519")


async def test_the_header_is_written_as_go_threads_writes_it(tmp_path):
    answer, _, _ = await asked(tmp_path)
    head = answer.json()["access_token"].partition(".")[0]
    assert head == "eyJhbGciOiJFZDI1NTE5IiwidHlwIjoiSldUIn0"  # the protocol page's own vector


async def test_a_token_without_an_end_says_so_by_saying_nothing(tmp_path):
    answer, _, _ = await asked(tmp_path, hub="expire = false")
    body = answer.json()
    assert list(claims_of(body["access_token"])) == ["iat", "iss", "sub"]
    assert "expires_in" not in body
    [event] = [line for line in (tmp_path / "audit.jsonl").read_text().splitlines() if line]
    assert "expires_at" not in event


async def test_a_rule_that_says_when_it_ends_is_obeyed_even_so(tmp_path):
    change = 'caller = "nightly"\ntoken  = "threads"'
    answer, _, _ = await asked(tmp_path, (change, f'{change}\nlifetime = "5m"'), hub="expire=false")
    claims = claims_of(answer.json()["access_token"])
    assert claims["exp"] == claims["iat"] + 300


async def test_a_hub_has_no_door_that_would_have_nothing_to_say(tmp_path):
    _, _, metadata = await asked(tmp_path)
    assert metadata["issuer"] == f"{US}/hub"
    assert metadata["jwks_uri"] == f"{US}/hub/.well-known/jwks.json"
    assert not [name for name in metadata if name.startswith(("introspection", "revocation"))]


async def test_other_issuers_have_all_their_doors(tmp_path):
    app = application(loaded(tmp_path))
    async with (
        lifespan(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=US) as http,
    ):
        metadata = (await http.get("/.well-known/openid-configuration")).json()
        assert "introspection_endpoint" in metadata
        assert "revocation_endpoint_auth_methods_supported" in metadata
        assert (await http.post("/hub/introspect", data={"token": "x"})).status_code == 404


class Ring:
    def __init__(self, *keys):
        self.keys = keys


def test_the_name_changes_with_the_key():
    keys = [SigningKey.generate("Ed25519") for _ in range(2)]
    ring = Ring(*keys)
    signer = HubSigner(ring)
    claims = {"iat": 1, "iss": "x", "sub": "b", "exp": 2, "aud": "y", "jti": "z"}
    first = claims_of(signer.sign(claims, typ="JWT"))
    assert first == {"iat": 1, "iss": name_of(keys[0]), "sub": "b", "exp": 2}
    ring.keys = keys[::-1]
    assert claims_of(signer.sign(claims, typ="JWT"))["iss"] == name_of(keys[1]) != first["iss"]


def test_only_ed25519_is_a_name():
    with pytest.raises(ValueError, match="Ed25519"):
        HubSigner(Ring(SigningKey.generate("ES256"))).sign(
            {"iat": 1, "sub": "b", "exp": None}, typ="JWT"
        )


def test_the_key_of_a_hub_never_changes_by_itself(tmp_path):
    found = periods(loaded(tmp_path))
    assert found["hub"].every == inf
    assert found["main"].every < inf


@pytest.mark.parametrize(
    ("how", "place", "message"),
    [
        ({"hub": 'rotate_every = "30d"'}, "issuers.hub.rotate_every", "is never at an issuer"),
        ({"hub": 'algorithm = "ES256"'}, "issuers.hub.algorithm", "is Ed25519 at an issuer"),
        ({"hub": "waiting = 0"}, "issuers.hub.waiting", "must be between 1 and"),
        ({"hub": 'challenge = "0s"'}, "issuers.hub.challenge", "must be between"),
    ],
)
def test_what_a_hub_cannot_be_is_told_at_the_start(tmp_path, how, place, message):
    with pytest.raises(ConfigError) as wrong:
        loaded(tmp_path, **how)
    [problem] = wrong.value.problems
    assert place.split(".")[-1] in problem.place
    assert message in problem.message


def test_a_period_of_never_is_what_it_is_anyway(tmp_path):
    assert loaded(tmp_path, hub='rotate_every = "never"').issuers["hub"].rotate_every == inf


def test_introspectors_of_a_hubs_token_are_a_mistake(tmp_path):
    change = ('audience = "threads"', 'audience = "threads"\nintrospectors = ["nightly"]')
    with pytest.raises(ConfigError, match="says nothing to introspect"):
        loaded(tmp_path, change)


def test_a_hub_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets", None)
    with pytest.raises(ConfigError, match=r"pip install 'tokenward\[server,hub\]'") as wrong:
        loaded(tmp_path)
    assert [problem.place for problem in wrong.value.problems] == [
        "tokenward.toml:9 issuers.hub.profile"
    ]
    others = settings().replace('profile = "hub"', "")
    (tmp_path / "tokenward.toml").write_text(others)
    assert load(tmp_path / "tokenward.toml", {})


def test_two_applications_with_one_key_are_a_mistake(tmp_path):
    with pytest.raises(ConfigError, match=r"is the key of callers\.app already"):
        loaded(tmp_path, (OPEN_KEY, KEY))


def test_what_may_be_regretted_is_warned_of(tmp_path):
    found = [str(one) for one in loaded(tmp_path, hub="expire = false").warnings]
    assert any("its tokens never end" in one for one in found)
    assert any("whoever knows the key" in one for one in found)
    found = [str(one) for one in loaded(tmp_path, ('profile = "hub"', "")).warnings]
    assert len([one for one in found if "no issuer is a hub" in one]) == 2


def test_the_configuration_of_the_how_to_is_one(tmp_path):
    page = examples("docs/howto/be-a-textile-hub.md")
    path = tmp_path / "tokenward.toml"
    path.write_text(page["configuration"].text())
    found = load(path, {"NOTES_SECRET": SECRET})
    assert found.issuers["hub"].profile.expire
    assert found.warnings == ()


@pytest.mark.parametrize("more", ['secret = "' + SECRET + '"', "development = true"])
def test_what_is_said_of_a_key_that_is_not_there_is_a_mistake(tmp_path, more):
    alone = ('key     = "' + KEY + '"\nsecret  = "' + SECRET + '"', more)
    with pytest.raises(ConfigError, match="key: is missing"):
        loaded(tmp_path, alone)


def test_an_application_may_have_no_key_in_the_configuration_at_all(tmp_path):
    found = loaded(tmp_path, ('key     = "' + KEY + '"\nsecret  = "' + SECRET + '"', ""))
    assert found.subjects["app"].proof.key == ""


def test_the_port_of_the_how_to_is_one(tmp_path):
    path = tmp_path / "tokenward.toml"
    native = examples("docs/howto/be-a-textile-hub.md")["native"]
    path.write_text(f'store = "sqlite:t.db"\n{native.code}')
    assert load(path, {}).issuers["hub"].profile.grpc == "127.0.0.1:3006"
