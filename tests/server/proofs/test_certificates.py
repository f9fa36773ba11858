"""Clients with certificates, as a proxy in front of us passes them on (RFC 8705, RFC 9440)."""

import datetime as dt
import ipaddress
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from urllib.parse import quote

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.world import API_SECRET, FILE, US
from tokenward.jose.jws import load_object, parts
from tokenward.jose.jwt import issuer_of

DN = "CN=nightly,OU=Jobs,O=Example"


def certificate(dn=DN, names=(), *, days=(-1, 30), by="CN=An authority"):
    """A certificate as some authority may have signed it, unless it is ``by`` its own name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(dn)
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name.from_rfc4514_string(by))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(key, hashes.SHA256())


def pem(cert):
    return cert.public_bytes(Encoding.PEM).decode()


def field(cert):
    """As RFC 9440 writes it."""
    return f":{b64encode(cert.public_bytes(Encoding.DER)).decode()}:"


DNS = x509.DNSName("jobs.example.com")
URI = x509.UniformResourceIdentifier("spiffe://example.org/jobs")
IP = x509.IPAddress(ipaddress.ip_address("10.1.2.3"))
EMAIL = x509.RFC822Name("jobs@example.com")
OURS = certificate()
OWN = certificate("CN=self", by="CN=self")
EXPIRED = certificate("CN=self", days=(-30, -1), by="CN=self")
EARLY = certificate("CN=self", days=(1, 30), by="CN=self")

CLIENTS = {
    "dn": f'tls_client_auth_subject_dn = "{DN}"',
    "dns": 'tls_client_auth_san_dns = "jobs.example.com"',
    "uri": 'tls_client_auth_san_uri = "spiffe://example.org/jobs"',
    "ip": 'tls_client_auth_san_ip = "10.1.2.3"',
    "email": 'tls_client_auth_san_email = "jobs@example.com"',
}


def configuration(trusted="127.0.0.1"):
    tables = [f'[proxy]\ntrusted = ["{trusted}"]\ncertificate_header = "Client-Cert"']
    tables += [
        f'[callers.{name}]\nproof = "tls_client_auth"\n{said}' for name, said in CLIENTS.items()
    ]
    own = ", ".join(f"'''{pem(one)}'''" for one in (OWN, EXPIRED, EARLY))
    tables += [
        f'[callers.own]\nproof = "self_signed_tls_client_auth"\ncertificates = [{own}]',
        (
            f'[callers.bound]\nproof = "tls_client_auth"\n{CLIENTS["dn"]}\n'
            "tls_client_certificate_bound_access_tokens = true"
        ),
        '[[allow]]\ncaller = "*"\ntoken = "reports"\nscope = "reports:read"',
        '[[allow]]\ncaller = "*"\ntoken = "itwin"\nscope = "itwin-platform"',
    ]
    return FILE + "\n".join(tables).replace("{", "{{").replace("}", "}}")


@pytest.fixture
async def world(worlds):
    async with worlds(file=configuration()) as world:
        yield world


async def ask(world, client, shown="", **form):
    headers = {"Client-Cert": shown} if shown else {}
    form = {"client_id": client, "audience": "reports"} | form
    return await world.token(auth=None, headers=headers, **form)


def is_refused(answer):
    return answer.status_code == 401 and answer.json()["error"] == "invalid_client"


# ── whose it is ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("client", "shown"),
    [
        ("dn", OURS),
        ("dn", certificate(DN, [DNS])),
        ("dns", certificate("CN=x", [x509.DNSName("a.example"), DNS])),
        ("dns", certificate("CN=x", [x509.DNSName("JOBS.example.com")])),
        ("uri", certificate("CN=x", [URI])),
        ("ip", certificate("CN=x", [IP])),
        ("email", certificate("CN=x", [EMAIL])),
        ("own", OWN),
    ],
)
async def test_a_certificate_is_its_clients(world, client, shown):
    answer = await ask(world, client, field(shown))
    assert answer.status_code == 200
    assert answer.json()["scope"] == "reports:read"


@pytest.mark.parametrize(
    ("client", "shown"),
    [
        ("dn", certificate("CN=nightly")),
        ("dn", certificate("CN=nightly,OU=Jobs,O=Example2")),
        ("dn", certificate("CN=Nightly,OU=Jobs,O=Example")),
        ("dn", certificate("O=Example,OU=Jobs,CN=nightly")),
        ("dn", certificate("CN=nightly,OU=Jobs,O=Example,C=DE")),
        ("dn", certificate("CN=x", [x509.DirectoryName(OURS.subject)])),
        ("dns", certificate("CN=jobs.example.com")),
        ("dns", certificate("CN=x", [x509.DNSName("*.example.com")])),
        ("dns", certificate("CN=x", [x509.DNSName("a.jobs.example.com")])),
        ("dns", certificate("CN=x", [x509.DNSName("jobs.example.com.evil.example")])),
        ("dns", certificate("CN=x", [x509.RFC822Name("jobs.example.com")])),
        ("uri", certificate("CN=x", [x509.UniformResourceIdentifier("spiffe://example.org/JOBS")])),
        ("uri", certificate("CN=x", [x509.DNSName("spiffe")])),
        ("ip", certificate("CN=x", [x509.IPAddress(ipaddress.ip_address("10.1.2.4"))])),
        ("ip", certificate("CN=x", [x509.DNSName("10.1.2.3")])),
        ("email", certificate("CN=x", [x509.RFC822Name("Jobs@example.com")])),
        ("dn", certificate(by=DN)),
        ("dn", certificate(days=(-30, -1))),
        ("dn", certificate(days=(1, 30))),
        ("dns", certificate("CN=x", [DNS], by="CN=x")),
        ("own", certificate("CN=self", by="CN=self")),
        ("own", EXPIRED),
        ("own", EARLY),
        ("nobody", OURS),
        ("nightly", OURS),
    ],
)
async def test_a_certificate_is_nobody_elses(world, client, shown):
    assert is_refused(await ask(world, client, field(shown)))


@pytest.mark.parametrize("client", [*CLIENTS, "own", "bound"])
async def test_a_name_alone_is_not_enough(world, client):
    assert is_refused(await ask(world, client))


async def test_a_client_with_a_certificate_cannot_show_a_secret(world):
    headers = {"Client-Cert": field(OURS)}
    assert is_refused(await world.token(auth=("dn", "x"), headers=headers, audience="reports"))


async def test_a_public_client_stays_one_whatever_it_shows(world):
    answer = await ask(world, "browser", field(OURS))
    assert answer.json()["error"] == "unauthorized_client"


# ── how it comes here ────────────────────────────────────────────────────────────────────────────


async def test_a_proxy_may_write_it_as_nginx_does(world):
    assert (await ask(world, "dn", quote(pem(OURS), safe=""))).status_code == 200
    assert (await ask(world, "dn", quote(pem(OURS), safe="+/="))).status_code == 200


@pytest.mark.parametrize(
    "shown",
    [
        field(OURS)[1:],
        field(OURS)[:-1],
        field(OURS).replace(":", "::"),
        ":AAAA:",
        "::",
        ":",
        field(OURS)[:-20] + ":",
        quote(pem(OURS)[:-30]),
        quote(pem(OURS) + pem(OWN)),
        quote(pem(OURS).replace("CERTIFICATE", "PUBLIC KEY")),
        quote("\u00e9" + pem(OURS)),
        sha256(OURS.public_bytes(Encoding.DER)).hexdigest(),
        ":" + "A" * 20_000 + ":",
    ],
    ids=[
        *("no first colon", "no last colon", "two colons", "no DER", "empty", "one colon"),
        *("broken base64", "half a PEM", "two certificates", "a public key", "not ASCII"),
        *("a thumbprint", "too long"),
    ],
)
async def test_what_cannot_be_read_is_no_certificate(world, shown):
    assert is_refused(await ask(world, "dn", shown))


async def test_the_header_twice_is_refused(world):
    headers = [("Client-Cert", field(OWN)), ("Client-Cert", field(OURS))]
    form = {"client_id": "dn", "grant_type": "client_credentials"}
    answer = await world.http.post("/token", data=form, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["Client_Cert", "X-Client-Cert", "Ssl-Client-Cert"])
async def test_another_header_says_nothing(world, name):
    form = {"client_id": "dn", "grant_type": "client_credentials"}
    answer = await world.http.post("/token", data=form, headers={name: field(OURS)})
    assert is_refused(answer)


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", "127.0.0.2", "::1"])
async def test_from_anybody_else_the_header_says_nothing(worlds, trusted):
    async with worlds(file=configuration(trusted)) as world:
        assert is_refused(await ask(world, "dn", field(OURS)))


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "1.2.3.4, 203.0.113.7, 127.0.0.1", "203.0.113.7"),
        ("127.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("127.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("127.0.0.1", "2001:DB8::1", "2001:db8::1"),
        ("127.0.0.1", "1.2.3.4, nonsense", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1, 127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),
        ("", "203.0.113.7", ""),
    ],
)
async def test_the_trail_says_where_a_request_came_from(worlds, peer, said, address):
    async with worlds(file=configuration()) as world:
        transport = httpx2.ASGITransport(world.app, client=(peer, 1))
        async with httpx2.AsyncClient(transport=transport, base_url=US) as http:
            await http.post("/token", data={"a": "b"}, headers={"X-Forwarded-For": said})
    assert world.events()[-1].get("address", "") == address


async def test_a_proxy_may_add_a_line_of_its_own_to_what_came(worlds):
    async with worlds(file=configuration()) as world:
        lines = [("X-Forwarded-For", one) for one in ("203.0.113.7", "198.51.100.1", "127.0.0.1")]
        await world.http.post("/token", data={"a": "b"}, headers=lines)
    assert world.events()[-1]["address"] == "198.51.100.1"


# ── tokens bound to it ───────────────────────────────────────────────────────────────────────────


def thumbprint(cert):
    digest = sha256(cert.public_bytes(Encoding.DER)).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


async def test_a_token_is_bound_to_the_certificate_it_was_given_for(world):
    for shown in (OURS, certificate()):  # the same client, another certificate
        answer = await ask(world, "bound", field(shown))
        token = answer.json()["access_token"]
        assert issuer_of(token) == US
        claims = load_object(parts(token)[1])
        assert claims["cnf"] == {"x5t#S256": thumbprint(shown)}
        api = ("reports-api", API_SECRET)
        said = await world.http.post("/introspect", data={"token": token}, auth=api)
        assert said.json()["cnf"] == claims["cnf"]


async def test_a_client_that_did_not_ask_for_it_gets_a_token_for_anybody(world):
    token = (await ask(world, "dn", field(OURS))).json()["access_token"]
    assert "cnf" not in load_object(parts(token)[1])


async def test_a_token_of_others_cannot_be_bound_and_is_not_given(world):
    assert (await ask(world, "dn", field(OURS), audience="itwin")).status_code == 200
    answer = await ask(world, "bound", field(OURS), audience="itwin")
    assert answer.json()["error"] == "invalid_target"


async def test_metadata_say_that_tokens_can_be_bound(world, worlds):
    document = (await world.http.get("/.well-known/oauth-authorization-server")).json()
    assert document["tls_client_certificate_bound_access_tokens"] is True
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(
        document["token_endpoint_auth_methods_supported"]
    )


async def test_the_trail_says_which_certificate_it_was(worlds):
    async with worlds(file=configuration()) as world:
        assert (await ask(world, "dn", field(OURS))).status_code == 200
        assert (await ask(world, "own", field(OWN))).status_code == 200
        assert (await ask(world, "own", field(OURS))).status_code == 401
    authority, own, bad = world.events()
    for event, method, shown in (
        (authority, "tls_client_auth", OURS),
        (own, "self_signed_tls_client_auth", OWN),
    ):
        digest = sha256(shown.public_bytes(Encoding.DER)).digest()
        thumbprint = urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert (event["method"], event["credential"]) == (method, thumbprint)
    assert "credential" not in bad
