"""Whom a certificate lets in that was shown when the connection began, and whom not."""

import datetime as dt
import ipaddress
import json
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.docs import examples
from tests.world import FILE, SECRET, claims_of
from tokenward.oauth.errors import InvalidGrant
from tokenward.server.certificates import is_named
from tokenward.server.proofs import Trusting
from tokenward.server.proofs.certificate import Certificate
from tokenward.server.settings import load
from tokenward.server.subjects import NO_CERTIFICATE, Subjects

NOW = dt.datetime.now(dt.UTC)
MTLS = "urn:ietf:params:oauth:token-type:mtls"
KEY = ec.generate_private_key(ec.SECP256R1())


class Authority:
    """Somebody who signs certificates."""

    def __init__(self, dn="CN=An authority", *, may=True, days=(-30, 300)):
        self.name = x509.Name.from_rfc4514_string(dn)
        self.key = ec.generate_private_key(ec.SECP256R1())
        basic = None if may is None else x509.BasicConstraints(ca=may, path_length=None)
        self.certificate = self._signed(self.name, self.key, days, basic=basic)
        self.pem = pem(self.certificate)

    def sign(self, dn="CN=x", names=(), *, days=(-1, 30), ca=None, usage=None):
        basic = None if ca is None else x509.BasicConstraints(ca=ca, path_length=None)
        return self._signed(
            x509.Name.from_rfc4514_string(dn), KEY, days, basic=basic, names=names, usage=usage
        )

    def _signed(self, name, key, days, *, basic=None, names=(), usage=None):
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(4711)
            .not_valid_before(NOW + dt.timedelta(days=days[0]))
            .not_valid_after(NOW + dt.timedelta(days=days[1]))
        )
        if basic is not None:
            made = made.add_extension(basic, critical=True)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usage is not None:
            made = made.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        return made.sign(self.key, hashes.SHA256())


def pem(certificate):
    return certificate.public_bytes(Encoding.PEM).decode()


def thumbprint(certificate):
    digest = sha256(certificate.public_bytes(Encoding.DER)).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def field(certificate):
    """As RFC 9440 writes it."""
    return f":{b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"


URI, DNS, EMAIL = x509.UniformResourceIdentifier, x509.DNSName, x509.RFC822Name
JOB = "spiffe://example.org/jobs/nightly"
OURS, THEIRS, NAMESAKE = Authority(), Authority("CN=Another"), Authority()
OVER = Authority(days=(-30, -1))


def proof(**settings):
    said = {"authorities": (OURS.pem,), "san_uri": ("spiffe://example.org/jobs/*",)} | settings
    return Certificate(**said).trusted(Trusting(name="jobs", default="reports"))


def held(shown, *proofs, **settings):
    proofs = proofs or (proof(**settings),)
    return Subjects(proofs, proofs).holder(pem(shown))


def ip(text):
    return x509.IPAddress(ipaddress.ip_address(text))


# ── whose it is ──────────────────────────────────────────────────────────────────────────────────


def test_its_holder_has_the_name_in_it_and_rules_can_look_at_all_of_them():
    shown = OURS.sign("CN=nightly,OU=Jobs,O=Example", [URI(JOB), DNS("A.example"), EMAIL("a@b.c")])
    caller = held(shown)
    assert (caller.name, caller.subject, caller.default) == ("jobs", f"jobs|{JOB}", "reports")
    assert caller.credential == thumbprint(shown)
    assert caller.expires_at == shown.not_valid_after_utc.timestamp()
    assert dict(caller.claims) == {
        "sub": JOB,
        "dn": "CN=nightly,OU=Jobs,O=Example",
        "cn": ["nightly"],
        "ou": ["Jobs"],
        "o": ["Example"],
        "san_uri": [JOB],
        "san_dns": ["a.example"],
        "san_email": ["a@b.c"],
        "san_ip": [],
        "issuer_dn": "CN=An authority",
        "serial": "1267",
        "x5t#S256": thumbprint(shown),
    }


@pytest.mark.parametrize(
    ("settings", "names", "sub"),
    [
        ({"san_uri": (JOB,)}, [URI(JOB)], JOB),
        ({"san_uri": ("spiffe://example.org/**",)}, [URI(JOB)], JOB),
        ({"san_uri": (), "san_dns": ("*.example.com",)}, [DNS("A.example.com")], "a.example.com"),
        ({"san_uri": (), "san_dns": ("A.example.com",)}, [DNS("a.EXAMPLE.com")], "a.example.com"),
        ({"san_uri": (), "san_email": ("*@x.example",)}, [EMAIL("a@x.example")], "a@x.example"),
        ({"san_uri": (), "san_ip": ("10.0.0.1",)}, [ip("10.0.0.1")], "10.0.0.1"),
        ({"san_uri": (), "san_ip": ("2001:DB8::1",)}, [ip("2001:db8::1")], "2001:db8::1"),
        ({"san_uri": (), "subject_dn": ("CN=x",)}, [], "CN=x"),
        ({"subject_dn": ("CN=y", "CN=x")}, [URI(JOB)], JOB),
        ({"san_dns": ("*.example",)}, [URI(JOB), DNS("a.example"), DNS("b.example")], JOB),
        ({}, [URI(JOB), URI("spiffe://example.org/other")], JOB),
    ],
)
def test_a_name_that_is_wanted_is_its_holders(settings, names, sub):
    assert held(OURS.sign(names=names), **settings).subject == f"jobs|{sub}"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, []),
        ({}, [DNS("example.org")]),
        ({}, [URI(JOB + "/more")]),
        ({}, [URI("spiffe://example.org/JOBS/nightly")]),
        ({}, [URI("spiffe://example.org.evil/jobs/nightly")]),
        ({}, [URI("x" + JOB)]),
        ({}, [EMAIL(JOB)]),
        ({"san_dns": ("*.example",)}, [URI(JOB)]),
        ({"subject_dn": ("CN=y",)}, [URI(JOB)]),
        ({"san_uri": (), "subject_dn": ("CN=X",)}, []),
        ({"san_uri": (), "subject_dn": ("CN=*",)}, []),
        ({"san_uri": (), "san_dns": ("*.example.com",)}, [DNS("a.b.example.com")]),
        ({"san_uri": (), "san_dns": ("*.example.com",)}, [DNS("example.com")]),
        ({"san_uri": (), "san_dns": ("*.example.com",)}, [DNS("a.example.com.evil")]),
        ({"san_uri": (), "san_dns": ("a.example",)}, [EMAIL("a.example")]),
        ({"san_uri": (), "san_email": ("*@x.example",)}, [EMAIL("a@evil.x.example")]),
        ({"san_uri": (), "san_email": ("a@x.example",)}, [EMAIL("A@x.example")]),
        ({"san_uri": (), "san_ip": ("10.0.0.1",)}, [ip("10.0.0.2")]),
        ({"san_uri": (), "san_ip": ("10.0.0.1",)}, [DNS("10.0.0.1")]),
    ],
)
def test_another_name_is_nobodys(settings, names):
    with pytest.raises(InvalidGrant) as refused:
        held(OURS.sign(names=names), **settings)
    assert refused.value.description == NO_CERTIFICATE


def test_whoever_has_two_names_that_are_wanted_is_nobody():
    with pytest.raises(InvalidGrant, match="several names are wanted"):
        held(OURS.sign(names=[URI(JOB), URI(JOB + "2")]))
    assert held(OURS.sign(names=[URI(JOB), URI(JOB)]))


# ── who signed it ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("shown", "authorities"),
    [
        (THEIRS.sign(names=[URI(JOB)]), (OURS,)),
        (NAMESAKE.sign(names=[URI(JOB)]), (OURS,)),
        (OURS.certificate, (OURS,)),
        (OURS.sign(names=[URI(JOB)], ca=True), (OURS,)),
        (OURS.sign(names=[URI(JOB)], usage=[ExtendedKeyUsageOID.SERVER_AUTH]), (OURS,)),
        (OURS.sign(names=[URI(JOB)], days=(-30, -1)), (OURS,)),
        (OURS.sign(names=[URI(JOB)], days=(1, 30)), (OURS,)),
        (OVER.sign(names=[URI(JOB)]), (OVER,)),
    ],
    ids=[
        *("another authority", "an authority of the same name", "the authority itself"),
        *("who may sign others", "a server", "too old", "too early", "the authority is too old"),
    ],
)
def test_whom_no_listed_authority_vouches_for_is_nobody(shown, authorities):
    with pytest.raises(InvalidGrant):
        held(shown, authorities=tuple(it.pem for it in authorities))


@pytest.mark.parametrize(
    "more",
    [
        {"ca": False},
        {"usage": [ExtendedKeyUsageOID.CLIENT_AUTH]},
        {"usage": [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]},
    ],
)
def test_whoever_may_be_a_client_is_let_in(more):
    assert held(OURS.sign(names=[URI(JOB)], **more))
    assert held(OURS.sign(names=[URI(JOB)], **more), authorities=(THEIRS.pem, OURS.pem))
    assert held(OURS.sign(names=[URI(JOB)], **more), authorities=(THEIRS.pem + OURS.pem,))


def test_what_is_no_certificate_is_nobodys():
    with pytest.raises(InvalidGrant):
        Subjects((), (proof(),)).holder("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")


def test_a_certificate_that_is_remembered_ends_in_time():
    shown, clock = OURS.sign(names=[URI(JOB)], days=(-1, 1)), [NOW.timestamp()]
    settings = Certificate(authorities=(OURS.pem,), san_uri=(JOB,))
    known = settings.trusted(Trusting(name="jobs", clock=lambda: clock[0]))
    assert known.holder(pem(shown)) is known.holder(pem(shown))
    clock[0] += 86_401
    with pytest.raises(InvalidGrant, match="its time"):
        known.holder(pem(shown))


def test_a_certificate_that_is_remembered_ends_with_its_authority():
    authority, clock = Authority(days=(-30, 1)), [NOW.timestamp()]
    shown = authority.sign(names=[URI(JOB)], days=(-1, 30))
    settings = Certificate(authorities=(authority.pem,), san_uri=(JOB,))
    known = settings.trusted(Trusting(name="jobs", clock=lambda: clock[0]))
    caller = known.holder(pem(shown))
    assert caller is known.holder(pem(shown))
    assert caller.expires_at == authority.certificate.not_valid_after_utc.timestamp()
    clock[0] += 86_401
    assert known.holder(pem(shown)) is None


def test_two_callers_may_have_people_of_one_authority():
    first, second = proof(), proof(san_uri=("spiffe://example.org/web/*",))
    shown = OURS.sign(names=[URI("spiffe://example.org/web/shop")])
    assert held(shown, first, second).subject == "jobs|spiffe://example.org/web/shop"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"authorities": ()}, "at least one"),
        ({"authorities": ("x",)}, "no certificate in PEM"),
        ({"authorities": (pem(OURS.sign()),)}, "may sign"),
        ({"authorities": (Authority(may=False).pem,)}, "may sign"),
        ({"authorities": (Authority(may=None).pem,)}, "may sign"),
        ({"san_uri": ()}, "whomever that authority knows"),
        ({"san_uri": ("",)}, "a name is empty"),
        ({"san_ip": ("nowhere",)}, "not an IP address"),
        ({"subject_dn": ("nobody",)}, "not a name like"),
    ],
)
def test_settings_that_would_let_in_anybody_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        proof(**settings)


# ── what the subject token is ────────────────────────────────────────────────────────────────────

SHOWN = OURS.sign("CN=nightly,O=Example", [URI(JOB)])
DER = b64encode(SHOWN.public_bytes(Encoding.DER)).decode()


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (thumbprint(SHOWN), True),
        (json.dumps([DER]), True),
        (json.dumps([DER, "more"]), True),
        (thumbprint(SHOWN)[:-1], False),
        (thumbprint(SHOWN) + "=", False),
        (thumbprint(SHOWN).swapcase(), False),
        (json.dumps([DER[:-8]]), False),
        (json.dumps(["more", DER]), False),
        (json.dumps([]), False),
        (json.dumps([7]), False),
        (json.dumps({"0": DER}), False),
        (json.dumps(DER), False),
        (DER, False),
        ("[" * 50_000, False),
        ("", False),
        ("é", False),
    ],
    ids=[
        "thumbprint",
        "list",
        "list of more",
        "short",
        "padded",
        "other case",
        "cut off",
        "not the first",
        "empty list",
        "number",
        "object",
        "text in json",
        "bare",
        "deep",
        "nothing",
        "not ascii",
    ],
)
def test_a_subject_token_names_the_certificate_that_was_shown(said, named):
    assert is_named(said, pem(SHOWN)) is named


# ── in a whole server ────────────────────────────────────────────────────────────────────────────

TABLES = f"""
[proxy]
trusted            = ["127.0.0.1"]
certificate_header = "Client-Cert"
[callers.jobs]
proof       = "certificate"
authorities = '''{OURS.pem}'''
san_uri     = "spiffe://example.org/jobs/*"
[callers.tls]
proof = "tls_client_auth"
tls_client_auth_san_uri = "{JOB}"
grant_types = ["client_credentials", "token_exchange"]
[[allow]]
name   = "jobs of ours"
caller = "jobs"
claims = {{ o = "Example" }}
token  = "reports"
scope  = "reports:read"
"""


@pytest.fixture
async def world(worlds):
    async with worlds(file=FILE + TABLES.replace("{", "{{").replace("}", "}}")) as world:
        yield world


async def exchange(world, shown=SHOWN, auth=None, **form):
    headers = {} if shown is None else {"Client-Cert": field(shown)}
    form = {
        "subject_token": thumbprint(shown or SHOWN),
        "subject_token_type": MTLS,
        "audience": "reports",
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    } | form
    return await world.token(auth=auth, headers=headers, **form)


async def get_token(world, shown=SHOWN, **headers):
    shown = {} if shown is None else {"Client-Cert": field(shown)}
    query = {"audience": "reports"}
    return await world.http.get("/getToken", headers=shown | headers, params=query)


async def test_a_certificate_is_exchanged_for_a_token(world):
    for _ in range(2):
        answer = await exchange(world)
        assert answer.status_code == 200
        claims = claims_of(answer.json()["access_token"])
        assert (claims["sub"], claims["scope"]) == (f"jobs|{JOB}", "reports:read")
        answer = await get_token(world)
        assert answer.status_code == 200
        assert claims_of(answer.text.split()[1])["sub"] == f"jobs|{JOB}"
    assert (await exchange(world, subject_token=json.dumps([DER]))).status_code == 200


async def test_a_client_may_ask_with_the_certificate_of_a_job(world):
    for auth in (("nightly", SECRET), None):
        form = {} if auth else {"client_id": "tls"}
        answer = await exchange(world, auth=auth, **form)
        assert claims_of(answer.json()["access_token"])["sub"] == f"jobs|{JOB}"


@pytest.mark.parametrize(
    ("shown", "form", "error"),
    [
        (None, {}, "invalid_request"),
        (SHOWN, {"subject_token": thumbprint(OURS.sign())}, "invalid_request"),
        (SHOWN, {"subject_token": "x"}, "invalid_request"),
        (SHOWN, {"subject_token_type": MTLS.upper()}, "invalid_request"),
        (SHOWN, {"subject_token_type": MTLS.replace("mtls", "jwt")}, "invalid_grant"),
        (SHOWN, {"actor_token": thumbprint(SHOWN), "actor_token_type": MTLS}, "invalid_request"),
        (THEIRS.sign("O=Example", [URI(JOB)]), {}, "invalid_grant"),
        (OURS.sign("O=Other", [URI(JOB)]), {}, "invalid_target"),
        (OURS.sign("O=Example", [URI("spiffe://example.org/x")]), {}, "invalid_grant"),
        (SHOWN, {"audience": "models"}, "invalid_target"),
        (SHOWN, {"scope": "reports:write"}, "invalid_scope"),
    ],
)
async def test_what_is_not_allowed_is_refused(world, shown, form, error):
    answer = await exchange(world, shown, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize(
    ("shown", "headers", "status"),
    [
        (None, {}, 401),
        (THEIRS.sign("O=Example", [URI(JOB)]), {}, 401),
        (OURS.sign("O=Other", [URI(JOB)]), {}, 403),
        (SHOWN, {"Authorization": "Bearer x"}, 401),
        (SHOWN, {"Authorization": "Basic eDp5"}, 401),
        (SHOWN, {"Authorization": "Bearer"}, 401),
    ],
)
async def test_get_token_takes_a_certificate_only_where_nothing_else_was_shown(
    world, shown, headers, status
):
    answer = await get_token(world, shown, **headers)
    assert answer.status_code == status
    assert answer.text.split()[1] == "token:"


async def test_from_anybody_but_the_proxy_the_header_says_nothing(worlds):
    text = TABLES.replace('"127.0.0.1"', '"10.0.0.1"').replace("{", "{{").replace("}", "}}")
    async with worlds(file=FILE + text) as world:
        assert (await exchange(world)).json()["error"] == "invalid_request"
        assert (await get_token(world)).status_code == 401


async def test_the_trail_says_which_certificate_it_was(worlds):
    async with worlds(file=FILE + TABLES.replace("{", "{{").replace("}", "}}")) as world:
        await exchange(world)
    [event] = world.events()
    assert event["subject_credential"] == thumbprint(SHOWN)
    assert event["subject"] == f"jobs|{JOB}"


# ── its settings ─────────────────────────────────────────────────────────────────────────────────

TOKENS = """
issuer = "https://tokens.example.com"
store  = "sqlite:tokenward.db"
[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = ["reports:read"]
"""
PAGE = examples("docs/howto/trust-certificates.md")["jobs"].code


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("", "", None),
        ('claims = { o = "Example" }\n', "", None),
        ('certificate_header = "Client-Cert"', "", "nobody can show a certificate"),
    ],
)
def test_what_the_page_shows_would_do(tmp_path, old, new, warning):
    (tmp_path / "tokenward.toml").write_text(TOKENS + PAGE.replace(old, new))
    settings = load(tmp_path / "tokenward.toml", {"JOBS_AUTHORITY": OURS.pem})
    said = [it.message for it in settings.warnings]
    assert (warning is None and said == []) or warning in said[0]
    assert settings.subjects["jobs"].proof.san_uri == ("spiffe://example.org/jobs/*",)
