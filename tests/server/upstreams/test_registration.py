"""How we show who we are to somebody else's token endpoint: keys, certificates, our own issuer."""

import base64
import datetime as dt
import re
import ssl
from hashlib import sha1, sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from tests.server.upstreams.granting import NOW, granted
from tests.upstream import Upstream
from tests.world import FILE, US, claims_of, header_of
from tokenward.client.errors import TokenError
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.remote.clients import Identity
from tokenward.remote.fetch import RemoteError, arun, open_async_client
from tokenward.server.upstreams import OurIssuer, identity_for, signs_as
from tokenward.server.upstreams.client_credentials import ClientCredentials
from tokenward.server.upstreams.token_exchange import TokenExchange
from tokenward.verifier.verifier import Verifier

ENDPOINT = "https://login.example.com/token"
ISSUER = "https://tokens.example.com"


def pem_of(private):
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def certificate_of(private, name="us", *, host=""):
    """One that its holder signed itself, as PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=bool(host), path_length=None), critical=True)
    )
    if host:
        import ipaddress  # noqa: PLC0415

        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        builder = builder.add_extension(names, critical=False)
    signed = builder.sign(private, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def private():
    return SigningKey.generate("ES256").private


@pytest.fixture(scope="module")
def other():
    return SigningKey.generate("ES256").private


async def asked(upstream, authorization=None):
    async with open_async_client(identity=identity_for(upstream)) as http:
        return await arun(upstream.flow(authorization or granted("read"), now=NOW), http)


# ── a key ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_signs_a_new_statement_for_that_server_with_every_question(private):
    with Upstream() as theirs:
        upstream = ClientCredentials(
            issuer=theirs.url, client_id="us", private_key=pem_of(private), kid="k1"
        )
        await asked(upstream)
        await asked(upstream)
        first, second = (question.form for question in theirs.questions)
    assert upstream.method == "private_key_jwt"
    assert (
        first["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    )
    said, again = claims_of(first["client_assertion"]), claims_of(second["client_assertion"])
    assert said["iss"] == said["sub"] == "us"
    assert (said["aud"], said["iat"], said["exp"]) == (theirs.url, NOW, NOW + 60)
    assert said["jti"] != again["jti"]
    assert header_of(first["client_assertion"])["kid"] == "k1"
    assert "client_secret" not in first


async def test_where_the_endpoint_is_known_it_is_whom_the_statement_is_for(private):
    with Upstream() as theirs:
        us = {"client_id": "us", "private_key": pem_of(private)}
        await asked(ClientCredentials(token_endpoint=theirs.token_endpoint, **us))
        await asked(ClientCredentials(token_endpoint=theirs.token_endpoint, aud="x", **us))
        said = [claims_of(question.form["client_assertion"]) for question in theirs.questions]
    assert [it["aud"] for it in said] == [theirs.token_endpoint, "x"]


async def test_a_key_that_is_known_by_its_certificate_says_which(rsa_keys):
    key = rsa_keys[1].private
    certificate = certificate_of(key)
    der = ssl.PEM_cert_to_DER_cert(certificate)
    with Upstream() as theirs:
        upstream = ClientCredentials(
            token_endpoint=theirs.token_endpoint,
            client_id="us",
            private_key=pem_of(key),
            certificate=certificate,
            algorithm="PS256",
        )
        await asked(upstream)
        assertion = theirs.questions[0].form["client_assertion"]

    def named(digest):
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    assert header_of(assertion) == {
        "alg": "PS256",
        "typ": "JWT",
        "x5t": named(sha1(der, usedforsecurity=False).digest()),
        "x5t#S256": named(sha256(der).digest()),
    }


# ── a certificate ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def two(tmp_path, private, other):
    """A server that wants to see our certificate, and the files of ours."""
    server, client = tmp_path / "server.pem", tmp_path / "client.pem"
    server.write_text(pem_of(other) + certificate_of(other, host="127.0.0.1"))
    client.write_text(certificate_of(private))
    key = tmp_path / "client.key"
    key.write_text(pem_of(private))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    context.load_verify_locations(client)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_REQUIRED
    return context, server, Identity(str(client), str(key))


async def test_a_certificate_is_shown_to_the_server_that_wants_to_see_it(two, monkeypatch):
    context, server, ours = two
    monkeypatch.setenv("SSL_CERT_FILE", str(server))
    with Upstream(tls=context) as theirs:
        upstream = ClientCredentials(
            token_endpoint=theirs.token_endpoint,
            client_id="us",
            tls_certificate=ours.certificate,
            tls_key=ours.key,
        )
        assert upstream.method == "tls_client_auth"
        await asked(upstream)
        question = theirs.questions[0]
        assert question.form == {
            "grant_type": "client_credentials",
            "client_id": "us",
            "scope": "read",
        }
        assert question.certificate["subject"] == ((("commonName", "us"),),)
        without = ClientCredentials(
            token_endpoint=theirs.token_endpoint, client_id="us", client_secret="s3cret-of-ours"
        )
        with pytest.raises(RemoteError):
            await asked(without)
        assert len(theirs.questions) == 1


async def test_a_certificate_that_was_renewed_is_shown_from_then_on(
    two, monkeypatch, tmp_path, private, other
):
    context, server, ours = two
    monkeypatch.setenv("SSL_CERT_FILE", str(server))
    with Upstream(tls=context) as theirs:
        upstream = ClientCredentials(
            token_endpoint=theirs.token_endpoint,
            client_id="us",
            tls_certificate=ours.certificate,
            tls_key=ours.key,
        )
        (tmp_path / "client.pem").write_text(certificate_of(private, "renewed"))
        context.load_verify_locations(tmp_path / "client.pem")
        await asked(upstream)
        shown = theirs.questions[-1].certificate
        assert shown["subject"] == ((("commonName", "renewed"),),)
        (tmp_path / "client.key").unlink()
        with pytest.raises(RemoteError, match="wants to see our certificate, which cannot be read"):
            await asked(upstream)


async def test_a_server_shows_it_to_that_upstream_alone(two, monkeypatch, worlds):
    context, server, ours = two
    monkeypatch.setenv("SSL_CERT_FILE", str(server))
    with Upstream(tls=context) as theirs:
        more = (
            f'[tokens.sealed]\nupstream = "client_credentials"\nclient_id = "us"\n'
            f'token_endpoint = "{theirs.token_endpoint}"\ntls_certificate = "{ours.certificate}"\n'
            f'tls_key = "{ours.key}"\n'
            '[[allow]]\ncaller = "nightly"\ntoken = "sealed"\n'
        )
        async with worlds(file=FILE + more) as world:
            answer = await world.token(audience="sealed")
            assert answer.json()["access_token"] == "theirs-1"
            brokers = world.server.theirs.brokers
            own = brokers["sealed"].http
            assert own is not brokers["itwin"].http
        assert own.is_closed


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        ("none.pem", "client.key", "tls_certificate: cannot be read: No such file"),
        ("client.pem", "none.key", "tls_key: cannot be read: No such file"),
        ("client.pem", "other.key", "tls_key: is not the key of the certificate"),
        ("client.pem", "client.pem", "tls_certificate: and the key are not both PEM"),
        ("client.key", "client.key", "tls_certificate: and the key are not both PEM"),
        ("client.pem", "locked.key", "tls_"),
        ("client.pem", "", "tls_key: is missing"),
        ("", "client.key", "tls_certificate: is missing"),
    ],
)
def test_files_that_will_not_do_are_refused(two, tmp_path, private, other, certificate, key, says):
    (tmp_path / "other.key").write_text(pem_of(other))
    locked = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "locked.key").write_bytes(locked)
    files = {"tls_certificate": certificate, "tls_key": key}
    files = {name: str(tmp_path / it) if it else "" for name, it in files.items()}
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        ClientCredentials(token_endpoint=ENDPOINT, client_id="us", **files)


# ── our own issuer ───────────────────────────────────────────────────────────────────────────────


class Ring:
    """An issuer's keys, of which the first one signs."""

    def __init__(self, *keys):
        self.keys = keys

    def sign(self, claims, *, typ):
        return self.keys[0].sign(claims, typ=typ)


def believed(token, ring, aud, issuer=ISSUER):
    """What a platform reads that trusts our JWKS; raises if it would not believe it."""
    keys = KeySet(tuple(key.verifying_key() for key in ring.keys))
    verifier = Verifier(issuer, aud, keys=keys, clock=lambda: NOW, typ={"jwt"})
    return verifier.verify(token)


async def test_an_issuer_of_ours_signs_who_we_are():
    ring = Ring(SigningKey.generate("ES256"))
    with Upstream() as theirs:
        upstream = ClientCredentials(
            token_endpoint=theirs.token_endpoint,
            client_id="app-id",
            assertion="self",
            sub="tokenward",
            aud="api://AzureADTokenExchange",
        )
        assert (signs_as(upstream), upstream.method) == ("", "private_key_jwt")
        with pytest.raises(RemoteError, match="the running server's own keys"):
            await asked(upstream)
        signed = upstream.signed_by(OurIssuer(ISSUER, ring))
        await asked(signed)
        form = theirs.questions[0].form
    assert form["client_id"] == "app-id"
    said = believed(form["client_assertion"], ring, "api://AzureADTokenExchange")
    assert (said["iss"], said["sub"], said["exp"]) == (ISSUER, "tokenward", NOW + 60)


async def test_a_registered_client_may_be_known_by_our_keys():
    ring = Ring(SigningKey.generate("ES256"))
    with Upstream() as theirs:
        upstream = ClientCredentials(
            token_endpoint=theirs.token_endpoint, client_id="us", assertion="self", iss="us"
        ).signed_by(OurIssuer(ISSUER, ring))
        await asked(upstream)
        assertion = theirs.questions[0].form["client_assertion"]
    assert believed(assertion, ring, theirs.token_endpoint, "us")["sub"] == "us"


async def test_an_issuer_of_ours_signs_the_token_that_is_exchanged():
    ring = Ring(SigningKey.generate("ES256"))
    with Upstream() as theirs:
        upstream = TokenExchange(
            token_endpoint=theirs.token_endpoint,
            subject="ours",
            subject_token_type="jwt",
            assertion="self",
            aud="https://iam.googleapis.com/p",
            audience="//iam.googleapis.com/p",
        ).signed_by(OurIssuer(ISSUER, ring))
        await asked(upstream)
        form = theirs.questions[0].form
        shared = upstream.shared_by(granted("read"))
    assert "client_id" not in form
    assert "client_assertion" not in form
    said = believed(form["subject_token"], ring, "https://iam.googleapis.com/p")
    assert (said["iss"], said["sub"]) == (ISSUER, ISSUER)
    assert shared == granted("read").scope.tokens


async def test_the_key_of_the_day_signs():
    old, new = SigningKey.generate("ES256"), SigningKey.generate("ES256")
    ring = Ring(old, new)
    with Upstream() as theirs:
        upstream = ClientCredentials(
            token_endpoint=theirs.token_endpoint, client_id="us", assertion="self"
        ).signed_by(OurIssuer(ISSUER, ring))
        await asked(upstream)
        ring.keys = new, old
        await asked(upstream)
        kids = [header_of(it.form["client_assertion"])["kid"] for it in theirs.questions]
    assert kids == [old.kid, new.kid]


async def test_a_server_signs_with_the_key_that_it_publishes(worlds):
    more = (
        '[tokens.federated]\nupstream = "client_credentials"\nclient_id = "us"\n'
        'token_endpoint = "{upstream}"\nassertion = "self"\n'
        '[[allow]]\ncaller = "nightly"\ntoken = "federated"\n'
    )
    async with worlds(file=FILE + more) as world:
        answer = await world.token(audience="federated")
        assert answer.json()["access_token"] == "theirs-1"
        jwks = (await world.http.get("/.well-known/jwks.json")).json()
        assertion = world.upstream.questions[0].form["client_assertion"]
        keys = KeySet.parse(jwks)
        verifier = Verifier(
            US, world.upstream.token_endpoint, keys=keys, clock=world.clock, typ={"jwt"}
        )
        assert verifier.verify(assertion)["sub"] == "us"
        introspected = await world.http.post(
            "/introspect",
            data={"token": assertion},
            auth=("reports-api", "reports-api-" + "s" * 40),
        )
        assert introspected.json() == {"active": False}, "no token of ours"


# ── what makes no sense ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"client_id": ""}, "client_id is missing"),
        ({"client_id": "us"}, "client_secret is missing"),
        ({"client_id": "us", "auth": "none"}, "auth: none is for nobody"),
        ({"client_id": "us", "auth": "private_key_jwt"}, "private_key: is missing"),
        ({"client_id": "us", "auth": "tls_client_auth"}, "tls_certificate: is missing"),
        (
            {"client_id": "us", "assertion": "self", "client_secret": "x"},
            "client_secret: is given, but private_key_jwt has none",
        ),
        (
            {"client_id": "us", "assertion": "self", "private_key": "x"},
            "private_key: is given, but",
        ),
        ({"client_id": "us", "client_secret": "x", "kid": "k"}, "kid: is for a private_key"),
        ({"client_id": "us", "client_secret": "x", "certificate": "k"}, "certificate: is for a"),
        ({"client_id": "us", "private_key": "x", "certificate": "k"}, "private_key: not a private"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_reason(settings, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        ClientCredentials(token_endpoint=ENDPOINT, **{"client_id": "", **settings})


def test_a_certificate_must_be_the_keys(private, other):
    for certificate, says in (
        (certificate_of(other), "private_key: the certificate is another key's"),
        ("nonsense", "private_key: not a certificate in PEM"),
    ):
        with pytest.raises(ValueError, match=f"^{says}$"):
            ClientCredentials(
                token_endpoint=ENDPOINT,
                client_id="us",
                private_key=pem_of(private),
                certificate=certificate,
            )


async def test_a_refused_assertion_is_not_repeated(private):
    from tests.upstream import says  # noqa: PLC0415 - the word means something else above

    with Upstream() as theirs:

        def repeats(handler):
            sent = theirs.questions[-1].form["client_assertion"]
            says(401, f'{{"error": "invalid_client", "error_description": "{sent}"}}')(handler)

        theirs.always = repeats
        upstream = ClientCredentials(
            token_endpoint=theirs.token_endpoint, client_id="us", private_key=pem_of(private)
        )
        with pytest.raises(TokenError) as caught:
            await asked(upstream)
        sent = theirs.questions[-1].form["client_assertion"]
    assert sent not in f"{caught.value} {vars(caught.value)}"
