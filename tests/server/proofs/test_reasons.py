"""Why a proof was refused, as the operator reads it; the caller hears the same of every fault."""

import datetime as dt
import ipaddress
import json
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fuzz.targets.jws import part as encoded
from tests.server.proofs.test_assertions import ED, KEY, OTHER, RSA, SECRET, hs
from tests.servers import Issuer
from tests.world import Clock, hashed
from tokenward.jose.keys import KeySet
from tokenward.oauth.errors import InvalidClient, TemporarilyUnavailable
from tokenward.oauth.presented import ASSERTION, BASIC, CERTIFICATE, POST, Presented
from tokenward.server import certificates
from tokenward.server.assertions import Surroundings
from tokenward.server.model import Client
from tokenward.server.proofs.client_secret import ClientSecret
from tokenward.server.proofs.client_secret_jwt import ClientSecretJwt
from tokenward.server.proofs.none import NoProof
from tokenward.server.proofs.private_key_jwt import PrivateKeyJwt
from tokenward.server.proofs.self_signed_tls_client_auth import SelfSignedTlsClientAuth
from tokenward.server.proofs.tls_client_auth import TlsClientAuth
from tokenward.server.stores import open_store

US = "https://tokens.example.com"
ELSEWHERE = "https://elsewhere.example"
CLIENT = Client(id="app", grant_types=frozenset({"client_credentials"}))
HEARD = "Client authentication failed: unknown client, wrong credentials, or another method."


@pytest.fixture
async def around():
    clock = Clock()
    store = open_store("memory:", clock)
    await store.open()
    yield Surroundings(
        clock=clock,
        shelf=store.shelf,
        issuers={"main": US, "other": ELSEWHERE},
        secrets_may_sign=frozenset({"main"}),
    )
    await store.close()


def claims(around, **changed):
    now = int(around.clock())
    said = {"iss": "app", "sub": "app", "aud": US, "iat": now, "exp": now + 60, "jti": "j"}
    return {name: value for name, value in (said | changed).items() if value is not ...}


def signed(assertion, issuer="main"):
    return Presented(ASSERTION, (("", assertion),), "", issuer)


async def reason(proof, presented, client=CLIENT):
    with pytest.raises(InvalidClient) as refused:
        await proof.authenticate(presented, client)
    assert refused.value.description == HEARD
    return refused.value.detail


# ── assertions ───────────────────────────────────────────────────────────────────────────────────


def keys(*found):
    return KeySet(tuple(key.verifying_key() for key in found))


@pytest.mark.parametrize(
    ("key", "changed", "typ", "issuer", "why"),
    [
        (KEY, {}, "JWT", "nowhere", "presented where no issuer of ours is"),
        (KEY, {}, "JWT", "", "presented where no issuer of ours is"),
        (KEY, {}, "JWT", "other", "aud: not for us"),
        (KEY, {}, "at+jwt", "main", "header: typ is another kind of token"),
        (OTHER, {}, "JWT", "main", "the signature does not match"),
        (RSA, {}, "JWT", "main", "no key fits kid and alg"),
        (ED, {}, "JWT", "main", "header: alg is not allowed"),
        (KEY, {"iss": "twin"}, "JWT", "main", "iss: not the expected issuer"),
        (KEY, {"exp": 1, "iat": ...}, "JWT", "main", "exp: expired"),
    ],
)
async def test_a_signature_is_refused_for_its_own_reason(around, key, changed, typ, issuer, why):
    proof = PrivateKeyJwt(keys=keys(KEY, ED), algorithms=frozenset({"ES256", "RS256"}))
    shown = signed(key.sign(claims(around, **changed), typ=typ), issuer)
    assert await reason(proof.within(around), shown) == f"client 'app': {why}"


async def test_a_good_signature_names_its_key_and_is_good_once(around):
    proof = PrivateKeyJwt(keys=keys(KEY)).within(around)
    shown = signed(KEY.sign(claims(around)))
    assert await proof.authenticate(shown, CLIENT) == "k1"
    assert await reason(proof, shown) == "client 'app': jti: used before"


async def test_a_key_without_a_name_has_none_in_the_trail(around):
    proof = PrivateKeyJwt(keys=keys(KEY)).within(around)
    head = b".".join(encoded(json.dumps(it).encode()) for it in ({"alg": "ES256"}, claims(around)))
    assertion = b".".join((head, encoded(KEY._sign(head)))).decode()
    assert await proof.authenticate(signed(assertion), CLIENT) == ""


async def test_a_key_published_a_moment_ago_is_good_at_once(around):
    with Issuer(KEY).serving() as served:
        proof = PrivateKeyJwt(jwks_uri=served.jwks_uri).within(around)
        assert await proof.authenticate(signed(KEY.sign(claims(around))), CLIENT) == "k1"
        served.keys.append(ED)
        shown = signed(ED.sign(claims(around, jti="another")))
        assert await proof.authenticate(shown, CLIENT) == "k2"


async def test_keys_are_fetched_anew_while_the_old_ones_are_used(around):
    with Issuer(KEY).serving() as served:
        proof = PrivateKeyJwt(jwks_uri=served.jwks_uri).within(around)
        for number in range(3):
            shown = signed(KEY.sign(claims(around, jti=str(number))))
            assert await proof.authenticate(shown, CLIENT) == "k1"
        assert served.count() == 1
        around.clock.at += 600
        shown = signed(KEY.sign(claims(around, jti="later")))
        assert await proof.authenticate(shown, CLIENT) == "k1"
        await proof._keys.aload()
        assert served.count() == 2


async def test_whose_keys_are_away_and_why_is_the_operators_to_know(around):
    with Issuer(KEY).serving() as served:
        served.behaviour["*"] = "500"
        proof = PrivateKeyJwt(jwks_uri=served.jwks_uri).within(around)
        with pytest.raises(TemporarilyUnavailable) as away:
            await proof.authenticate(signed(KEY.sign(claims(around))), CLIENT)
    assert away.value.description == "the keys of this client cannot be had just now"
    assert away.value.detail.startswith("client 'app': ")
    assert "answered 500" in away.value.detail


LONGER = SECRET + "-and-more"


@pytest.mark.parametrize(
    ("secret", "changed", "header", "issuer", "why"),
    [
        (SECRET, {}, {}, "other", "this issuer does not accept client_secret_jwt"),
        (SECRET, {}, {}, "nowhere", "this issuer does not accept client_secret_jwt"),
        (SECRET, {}, {"alg": "HS384"}, "main", "header: another alg or typ"),
        (SECRET, {}, {"typ": "at+jwt"}, "main", "header: another alg or typ"),
        (LONGER, {}, {}, "main", "the signature does not match"),
        (SECRET, {"aud": ELSEWHERE}, {}, "main", "aud: not for us"),
        (SECRET, {"jti": ...}, {}, "main", "jti: missing"),
    ],
)
async def test_a_shared_secret_is_refused_for_its_own_reason(
    around, secret, changed, header, issuer, why
):
    proof = ClientSecretJwt(secrets=(SECRET, SECRET + "2"), audience=(US + "/token",))
    shown = signed(hs(claims(around, **changed), secret.encode(), **header), issuer)
    assert await reason(proof.within(around), shown) == f"client 'app': {why}"


async def test_an_issuer_that_is_none_accepts_no_secret_whatever_is_said_of_it(around):
    proof = ClientSecretJwt(secrets=(SECRET,))
    odd = Surroundings(
        clock=around.clock,
        shelf=around.shelf,
        issuers=around.issuers,
        secrets_may_sign=frozenset({"nowhere"}),
    )
    shown = signed(hs(claims(around), SECRET.encode()), "nowhere")
    assert "does not accept" in await reason(proof.within(odd), shown)


@pytest.mark.parametrize(
    "proof",
    [
        PrivateKeyJwt(keys=keys(KEY)),
        ClientSecretJwt(secrets=(SECRET,)),
    ],
)
async def test_a_proof_without_its_surroundings_says_so(around, proof):
    with pytest.raises(RuntimeError, match=r"^this proof does not work yet$"):
        await proof.authenticate(signed(KEY.sign(claims(around))), CLIENT)


# ── certificates ─────────────────────────────────────────────────────────────────────────────────


def certificate(days=(-1, 30), names=(), by="app"):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string("CN=app")
    today = dt.datetime.now(dt.UTC).replace(microsecond=0)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name.from_rfc4514_string(f"CN={by}"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today + dt.timedelta(days=days[0]))
        .not_valid_after(today + dt.timedelta(days=days[1]))
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(key, hashes.SHA256())


def pem(cert):
    return cert.public_bytes(Encoding.PEM).decode()


def shows(text):
    return Presented(CERTIFICATE, (("app", ""),), text, "main")


@pytest.mark.parametrize(
    ("edge", "seconds", "good"),
    [
        ("begins", -0.001, False),
        ("begins", 0, True),
        ("begins", 1, True),
        ("ends", -1, True),
        ("ends", 0, True),
        ("ends", 0.001, False),
    ],
)
async def test_a_certificate_is_good_from_its_first_second_to_its_last(around, edge, seconds, good):
    own = certificate()
    proof = SelfSignedTlsClientAuth(certificates=(pem(own),)).within(around)
    moments = {"begins": own.not_valid_before_utc, "ends": own.not_valid_after_utc}
    around.clock.at = moments[edge].timestamp() + seconds
    if good:
        found = await proof.authenticate(shows(pem(own)), CLIENT)
        assert found == certificates.thumbprint(pem(own))
    else:
        why = await reason(proof, shows(pem(own)))
        assert why == "client 'app': the certificate has expired"


async def test_another_certificate_is_refused_as_that(around):
    proof = SelfSignedTlsClientAuth(certificates=(pem(certificate()),)).within(around)
    why = await reason(proof, shows(pem(certificate())))
    assert why == "client 'app': another certificate"


async def test_what_is_no_certificate_is_refused_as_that(around):
    proof = SelfSignedTlsClientAuth(certificates=(pem(certificate()),)).within(around)
    assert await reason(proof, shows("")) == "the certificate cannot be read"
    with pytest.raises(RuntimeError, match=r"^this proof does not work yet$"):
        await SelfSignedTlsClientAuth(certificates=(pem(certificate()),)).authenticate(
            shows(""), CLIENT
        )


async def test_the_certificate_of_somebody_else_is_refused_as_that(around):
    proof = TlsClientAuth(tls_client_auth_subject_dn="CN=other").within(around)
    why = await reason(proof, shows(pem(certificate(by="authority"))))
    assert why == "client 'app': the certificate is somebody else's"


async def test_a_certificate_that_vouches_for_itself_is_refused_as_that(around):
    proof = TlsClientAuth(tls_client_auth_subject_dn="CN=app").within(around)
    why = await reason(proof, shows(pem(certificate())))
    assert why == "client 'app': nobody vouches for the certificate"


# ── secrets and names ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", [BASIC, POST])
async def test_a_wrong_secret_is_refused_for_the_client_that_was_meant(around, method):
    proof = ClientSecret(secrets=(hashed("a" * 43),)).within(around)
    for candidates in ((), (("app", "a" * 42),), (("App", "a" * 43),), (("", "a" * 43),)):
        why = await reason(proof, Presented(method, candidates, "", "main"))
        assert why == "wrong id or secret for client 'app'"


async def test_every_reading_of_the_header_is_tried(around):
    proof = ClientSecret(secrets=(hashed("a" * 43), hashed("b" * 43))).within(around)
    for candidates in (
        (("app", "b" * 43), ("app", "wrong")),
        (("app", "wrong"), ("app", "b" * 43)),
        (("other", "b" * 43), ("app", "b" * 43)),
    ):
        named = await proof.authenticate(Presented(BASIC, candidates, "", "main"), CLIENT)
        assert named == hashed("b" * 43).removeprefix("sha256:")[:8]


async def test_a_name_proves_nothing_and_so_is_called_nothing(around):
    assert await NoProof().within(around).authenticate(shows(""), CLIENT) == ""


# ── settings ─────────────────────────────────────────────────────────────────────────────────────


DN_OR_ANOTHER = (
    "exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and "
    "_san_email is needed (RFC 8705 §2.1.2)"
)
EVERY_ALGORITHM = "ES256, ES384, ES512, Ed25519, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512"


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (
            ClientSecret,
            {"secrets": ()},
            "secrets: at least one is needed; make one with: tokenward hash",
        ),
        (
            ClientSecret,
            {"secrets": ("sha256:abc",)},
            (
                "secrets: not a hash such as sha256:<64 hex digits>; make one with: tokenward hash "
                "(the file never holds the secret itself)"
            ),
        ),
        (ClientSecretJwt, {"secrets": ()}, "secrets: at least one is needed"),
        (
            ClientSecretJwt,
            {"secrets": ("s" * 31,)},
            "secrets: one is shorter than 32 bytes; make one with: tokenward hash",
        ),
        (
            ClientSecretJwt,
            {"secrets": ("s" * 32, "s" * 31)},
            "secrets: one is shorter than 32 bytes; make one with: tokenward hash",
        ),
        (
            ClientSecretJwt,
            {"secrets": (SECRET,), "algorithm": "ES256"},
            "algorithm: must be one of HS256, HS384, HS512",
        ),
        (
            ClientSecretJwt,
            {"secrets": (SECRET,), "audience": (US, "")},
            "audience: one of them is empty",
        ),
        (PrivateKeyJwt, {}, "keys: either keys or jwks_uri is needed, and not both"),
        (
            PrivateKeyJwt,
            {"keys": keys(KEY), "jwks_uri": US},
            "keys: either keys or jwks_uri is needed, and not both",
        ),
        (PrivateKeyJwt, {"keys": KeySet()}, "keys: there is none"),
        (PrivateKeyJwt, {"jwks_uri": "http://a.example/k"}, "jwks_uri: "),
        (
            PrivateKeyJwt,
            {"keys": keys(KEY), "algorithms": frozenset()},
            f"algorithms: none: not one of {EVERY_ALGORITHM}",
        ),
        (
            PrivateKeyJwt,
            {"keys": keys(KEY), "algorithms": frozenset({"ES256", "none", "HS256"})},
            f"algorithms: HS256, none: not one of {EVERY_ALGORITHM}",
        ),
        (
            PrivateKeyJwt,
            {"keys": keys(KEY), "audience": ("", US)},
            "audience: one of them is empty",
        ),
        (SelfSignedTlsClientAuth, {"certificates": ()}, "certificates: at least one is needed"),
        (
            SelfSignedTlsClientAuth,
            {"certificates": ("x",)},
            "certificates: one of them is no certificate in PEM",
        ),
        (
            SelfSignedTlsClientAuth,
            {"certificates": ("\u00e9",)},
            "certificates: one of them is no certificate in PEM",
        ),
        (TlsClientAuth, {}, DN_OR_ANOTHER),
        (
            TlsClientAuth,
            {"tls_client_auth_san_dns": "a", "tls_client_auth_san_uri": "b"},
            DN_OR_ANOTHER,
        ),
        (
            TlsClientAuth,
            {"tls_client_auth_subject_dn": "app"},
            "tls_client_auth_subject_dn: not a name like CN=a,O=b",
        ),
        (
            TlsClientAuth,
            {"tls_client_auth_san_ip": "10.1.2"},
            "tls_client_auth_san_ip: not an IP address",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_in_these_words(kind, settings, said):
    with pytest.raises(ValueError, match="^" + re.escape(said)) as refused:
        kind(**settings)
    assert said.endswith(" ") or str(refused.value) == said


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_secret_as_long_as_the_hash_will_do(algorithm):
    assert ClientSecretJwt(secrets=("s" * 32,), algorithm=algorithm)
    assert ClientSecretJwt(secrets=("\u00e9" * 16,), algorithm=algorithm)  # bytes, not characters


async def test_an_address_may_be_written_in_any_way(around):
    address = ipaddress.ip_address("2001:db8::1")
    shown = certificate(names=[x509.IPAddress(address)], by="authority")
    proof = TlsClientAuth(tls_client_auth_san_ip="2001:DB8:0::0001").within(around)
    thumbprint = await proof.authenticate(shows(pem(shown)), CLIENT)
    assert thumbprint == certificates.thumbprint(pem(shown))


async def test_no_proof_shows_its_secrets(around):
    for proof in (
        ClientSecretJwt(secrets=(SECRET,)).within(around),
        ClientSecret(secrets=(hashed(SECRET),)).within(around),
    ):
        assert SECRET not in repr(proof)
        assert hashed(SECRET) not in repr(proof)
