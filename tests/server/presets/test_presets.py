"""Workload identity: what each platform's genuine token gets, and what nothing else does."""

import tomllib
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

import pytest

from tests.docs import examples
from tests.server.presets.genuine import AZURE, GITHUB, PLATFORMS, TENANT
from tests.server.proofs.test_assertions import RSA
from tokenward.clock import now
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.oauth.errors import InvalidGrant, InvalidTarget
from tokenward.oauth.messages import TOKEN_EXCHANGE
from tokenward.server import plugins
from tokenward.server.app import policy
from tokenward.server.config import Report
from tokenward.server.model import NOBODY, Grant
from tokenward.server.presets import Whose
from tokenward.server.proofs import TooOld, Trusting
from tokenward.server.settings.lines import TomlPlaces
from tokenward.server.settings.whole import read
from tokenward.server.subjects import Subjects

PAGE = "docs/howto/workload-identity.md"
TOP = """
issuer = "https://tokens.example.com"
store  = "sqlite:tokenward.db"
[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = ["reports:read", "reports:write"]
"""
EC = SigningKey.generate("ES384", kid="k4")
ED = SigningKey.generate("EdDSA", kid="k5")
KEYS = {key.algorithm: key for key in (RSA, EC, ED)}
JWKS = {"keys": [key.public_jwk() for key in KEYS.values()]}


def document(name):
    """The example of the page, and keys that we can sign with in place of the platform's."""
    found = tomllib.loads(TOP + examples(PAGE)[name.replace("_", "-")].code)
    for caller in found["callers"].values():
        caller["keys"] = deepcopy(JWKS)
    return found


def loaded(found):
    return read(found, Report(places=TomlPlaces("tokenward.toml")))


def signed(platform, changes=None, *, key=None, typ=None):
    said = {"iat": int(now()), "nbf": int(now()), "exp": int(now()) + 300}
    said |= platform.claims | (changes or {})
    claims = {name: value for name, value in said.items() if value is not ...}
    key = key or KEYS[platform.algorithm]
    return key.sign(claims, typ=platform.typ if typ is None else typ)


def proof_of(settings):
    ((name, subject),) = settings.subjects.items()
    return subject.proof.trusted(Trusting(name=name, clock=now))


async def allowed(settings, token):
    """The authorization of somebody who shows this; raises what they would hear."""
    caller = await Subjects((proof_of(settings),)).prove(token)
    grant = Grant(
        caller=caller, client=NOBODY, grant_type=TOKEN_EXCHANGE, targets=("reports",), issuer="main"
    )
    return policy(settings).decide(grant)


async def refused(settings, token):
    """What the operator reads about it."""
    with pytest.raises((InvalidGrant, InvalidTarget)) as caught:
        await allowed(settings, token)
    return caught.value.detail


def test_every_preset_has_its_example_and_its_near_misses():
    assert set(PLATFORMS) == set(plugins.BUILT_IN[plugins.PRESET])
    assert min(len(platform.misses) for platform in PLATFORMS.values()) >= 10
    assert {name.replace("_", "-") for name in PLATFORMS} <= set(examples(PAGE))


@pytest.mark.parametrize("name", PLATFORMS)
async def test_a_genuine_token_gets_what_the_page_says(name):
    settings = loaded(document(name))
    assert settings.warnings == ()
    authorization = await allowed(settings, signed(PLATFORMS[name]))
    (rule,) = settings.rules
    assert (authorization.token, authorization.rule) == ("reports", rule.name)
    sub = PLATFORMS[name].claims["sub"]
    assert authorization.grant.caller.subject == f"{rule.caller}|{sub}"


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [(name, *miss) for name, platform in PLATFORMS.items() for miss in platform.misses],
)
async def test_a_near_miss_gets_nothing(name, changes, why):
    detail = await refused(loaded(document(name)), signed(PLATFORMS[name], changes))
    assert why in detail


FORGED = {
    "an algorithm that it never uses": ({"key": ED}, "alg is not allowed"),
    "an access token": ({"typ": "at+jwt"}, "typ is another kind"),
    "a logout token": ({"typ": "logout+jwt"}, "typ is another kind"),
    "for somebody else": ({"changes": {"aud": "https://other.example.com"}}, "aud: not for us"),
    "for nobody": ({"changes": {"aud": ...}}, "aud: missing"),
    "for ever": ({"changes": {"exp": ...}}, "exp: missing"),
    "too old": ({"changes": {"iat": 1, "nbf": 1, "exp": 2}}, "exp: expired"),
    "too early": ({"changes": {"nbf": int(now()) + 3_600}}, "nbf: not yet valid"),
    "another issuer": ({"changes": {"iss": "https://x.example.com"}}, "no caller has this token's"),
    "bound to a key": ({"changes": {"cnf": {"jkt": "x"}}}, "cnf: bound to a key"),
}


@pytest.mark.parametrize("name", PLATFORMS)
@pytest.mark.parametrize(("how", "why"), FORGED.values(), ids=FORGED)
async def test_a_preset_takes_nothing_away_from_what_every_token_has_to_be(name, how, why):
    assert why in await refused(loaded(document(name)), signed(PLATFORMS[name], **how))


@pytest.mark.parametrize("name", PLATFORMS)
async def test_what_was_changed_after_it_was_signed_is_not_believed(name):
    header, _, signature = signed(PLATFORMS[name], {"jti": "another"}).split(".")
    payload = signed(PLATFORMS[name]).split(".")[1]
    detail = await refused(loaded(document(name)), f"{header}.{payload}.{signature}")
    assert "the signature does not match" in detail


async def test_an_old_token_is_said_to_be_old():
    with pytest.raises(TooOld):
        await allowed(
            loaded(document("google")), signed(PLATFORMS["google"], {"iat": 1, "nbf": 1, "exp": 2})
        )


async def test_azure_has_two_versions_of_tokens_each_with_an_issuer_of_its_own():
    found = document("azure")
    found["callers"]["azure"]["version"] = "2.0"
    found["allow"][0]["claims"] = {"azp": AZURE["appid"]}
    second = {
        "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "azp": AZURE["appid"],
        "azpacr": "2",
        "appid": ...,
        "idtyp": ...,
        "ver": "2.0",
    }
    platform = PLATFORMS["azure"]
    assert await allowed(loaded(found), signed(platform, second))
    assert "ver: not 2.0" in await refused(loaded(found), signed(platform, second | {"ver": "1.0"}))
    assert "no caller" in await refused(loaded(found), signed(platform))
    assert "no caller" in await refused(loaded(document("azure")), signed(platform, second))


@pytest.mark.parametrize(
    ("name", "claims", "changes"),
    [
        ("github_actions", {"sub": "repo:acme@65/app@74:**"}, {"sub": "repo:acme@65/app@74:ref:x"}),
        ("kubernetes", {"kubernetes.io.namespace": "shop"}, {}),
        ("kubernetes", {"kubernetes.io.namespace": "shop", "kubernetes.io.pod.name": "o*"}, {}),
        ("spiffe", {"sub": "spiffe://example.org/ns/shop/sa/*"}, {}),
        ("google", {"google.compute_engine.project_id": "acme-shop"}, {"email": ...}),
        ("google", {"google.compute_engine.project_number": 739419398126}, {}),
        ("google", {"email": "*@acme-shop.iam.gserviceaccount.com"}, {}),
        ("azure", {"roles": "Reports.Read"}, {"roles": ["Reports.Read"]}),
        ("aws", {"https://sts.amazonaws.com/.principal_tags.team": "shop"}, {}),
        ("gitlab_ci", {"namespace_path": ["acme", "acme/**"]}, {}),
    ],
)
async def test_other_ways_to_say_whose_hold_for_the_genuine_token(name, claims, changes):
    found = document(name)
    found["allow"][0]["claims"] = claims
    assert await allowed(loaded(found), signed(PLATFORMS[name], changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A preset that is not ours, and counts how often it was asked."""

    place: str
    """Where it runs."""

    algorithms: ClassVar[frozenset[str]] = frozenset({"RS256"})
    typ: ClassVar[frozenset[str]] = frozenset({"jwt"})
    jwks_uri: ClassVar[str] = ""
    whose: ClassVar[Whose] = Whose(missing="must say whose", example="", said_by={"who": "[^*]+"})
    asked: ClassVar[list[str]] = []

    @property
    def issuer(self):
        return f"https://{self.place}.example.com"

    def fault(self, claims):
        self.asked.append(str(claims["sub"]))
        return "" if claims["sub"] == "ann" else "sub: not ann"


async def test_somebody_elses_preset_is_named_with_its_module_and_asked_once_for_a_token():
    Own.asked.clear()
    found = tomllib.loads(TOP)
    found["callers"] = {
        "own": {
            "proof": "jwt",
            "preset": f"{__name__}:Own",
            "place": "here",
            "audience": "us",
            "keys": JWKS,
        }
    }
    found["allow"] = [
        {"caller": "own", "token": "reports", "scope": "*", "claims": {"who": "ann"}},
    ]
    settings = loaded(found)
    claims = {"iss": "https://here.example.com", "aud": "us", "exp": int(now()) + 60, "sub": "ann"}
    shown = RSA.sign(claims)
    subjects = Subjects((proof_of(settings),))
    first = await subjects.prove(shown)
    assert await subjects.prove(shown) is first
    assert subjects.proofs[0].recall(sha256(shown.encode()).digest()) is first
    assert Own.asked == ["ann"]
    for _ in range(2):
        with pytest.raises(InvalidGrant) as caught:
            await subjects.prove(RSA.sign(claims | {"sub": "bob"}))
        assert caught.value.detail == "caller 'own': sub: not ann"


def test_the_keys_of_a_trust_bundle_that_sign_tokens_are_keys_and_the_others_are_not():
    jwk = {name: value for name, value in EC.public_jwk().items() if name != "alg"}
    bundle = {"keys": [{**jwk, "use": "x509-svid", "kid": ""}, {**jwk, "use": "jwt-svid"}]}
    keys = KeySet.parse({**bundle, "spiffe_sequence": 12})
    assert [key.kid for key in keys.keys] == ["k4"]


def test_what_is_public_of_a_preset_says_nothing_of_a_key():
    proof = loaded(document("github_actions")).subjects["ci"].proof
    assert proof.issuer == GITHUB["iss"]
    assert (proof.algorithms, proof.typ) == ({"RS256"}, {"jwt"})
