"""From a file, or from the mobile sample's variables, to the settings of a server."""

from pathlib import Path

import pytest

from tokenward.oauth.messages import CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE
from tokenward.oauth.scope import Scope
from tokenward.server.policy import Rule
from tokenward.server.profiles.okta import Okta
from tokenward.server.proofs.jwt import Jwt
from tokenward.server.settings import (
    AuditSettings,
    ConfigError,
    Listen,
    Settings,
    find,
    from_itm,
    load,
)
from tokenward.server.settings.starter import STARTER
from tokenward.server.upstreams.client_credentials import ClientCredentials

DESIGN = Path(__file__).with_name("tokenward.toml")
SECRET = "a-secret-of-the-upstream"
HASH = "sha256:" + "0" * 64
ENVIRON = {
    "NIGHTLY_SECRET_HASH": HASH,
    "REPORTS_API_HASH": "sha256:" + "1" * 64,
    "ITWIN_CLIENT_ID": "service-app",
    "ITWIN_CLIENT_SECRET": SECRET,
}


def written(folder: Path, source: str, name: str = "tokenward.toml") -> Path:
    path = folder / name
    path.write_text(source)
    return path


def refused(path: Path, environ=ENVIRON) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def settings(tmp_path) -> Settings:
    """The design's file, as it stands."""
    return load(written(tmp_path, DESIGN.read_text()), ENVIRON)


def test_the_designs_file_says_who_we_are(settings):
    assert {name: issuer.url for name, issuer in settings.issuers.items()} == {
        "main": "https://tokens.example.com",
        "ims": "https://tokens.example.com/ims",
        "orders": "https://tokens.example.com/oauth2/orders",
    }
    assert [issuer.algorithm for issuer in settings.issuers.values()] == ["ES256", "RS256", "RS256"]
    assert isinstance(settings.issuers["orders"].profile, Okta)


def test_the_designs_file_says_who_may_ask(settings):
    assert settings.subjects["mobile"].proof == Jwt(
        issuer="https://dev-x.us.auth0.com/", audience="http://tokenserver.sample.bentley.com"
    )
    assert settings.subjects["mobile"].default == "itwin"
    assert settings.subjects["ci"].proof.issuer == "https://token.actions.githubusercontent.com"
    assert settings.clients.keys() == {"nightly", "reports-api"}
    nightly = settings.clients["nightly"]
    assert nightly.client.grant_types == {CLIENT_CREDENTIALS}
    assert nightly.client.scope == Scope(frozenset({"reports:read"}))
    assert nightly.proof.secrets == (HASH,)
    assert settings.clients["reports-api"].client.grant_types == frozenset()


def test_the_designs_file_says_what_there_is_to_ask_for(settings):
    reports, orders, itwin = (settings.tokens[name] for name in ("reports", "orders", "itwin"))
    assert (reports.issuer, orders.issuer, itwin.issuer) == ("main", "orders", "")
    assert reports.audience == "https://api.example.com/reports"
    assert reports.vocabulary == Scope(frozenset({"reports:read", "reports:write"}))
    assert reports.default == Scope(frozenset({"reports:read"}))
    assert reports.lifetime == 900
    assert reports.introspectors == {"reports-api"}
    assert isinstance(itwin.upstream, ClientCredentials)
    assert itwin.upstream.client_secret == SECRET
    assert (itwin.scope_check, itwin.fresh) == (True, 120)


def test_the_designs_file_says_who_may_have_what(settings):
    assert settings.rules[1] == Rule(
        name="nightly reports",
        caller="nightly",
        token="reports",
        scope=Scope(frozenset({"reports:read"})),
        lifetime=300,
    )
    assert [rule.name for rule in settings.rules] == [
        "employees on the mobile app",
        "nightly reports",
        "deployments of acme/app",
    ]
    assert settings.rules[0].claims == {"permissions": "models:read"}


def test_the_designs_file_is_warned_of_the_token_nobody_may_have(settings):
    assert [str(warning) for warning in settings.warnings] == [
        "tokenward.toml:38 tokens.orders: nobody may have it: no rule allows it"
    ]


def test_no_secret_is_in_the_repr(settings):
    assert SECRET not in repr(settings)
    assert HASH not in repr(settings)


SMALL = """
issuer = "https://tokens.example.com/"
store = "sqlite:t.db"
[callers.nightly]
proof = "client_secret"
secrets = "${NIGHTLY_SECRET_HASH}"
[tokens.reports]
audience = "reports"
[[allow]]
caller = "nightly"
token = "reports"
"""


def test_a_small_file_leaves_the_rest_to_the_defaults(tmp_path):
    settings = load(written(tmp_path, SMALL), ENVIRON)
    assert settings.issuers["main"].url == "https://tokens.example.com/"
    assert settings.listen == Listen(host="127.0.0.1", port=8080)
    assert settings.audit == AuditSettings(to="stdout", mode="behind")
    assert (settings.encryption_key, settings.encryption_key_file) == ("", "")
    assert settings.tokens["reports"].issuer == "main"
    assert settings.rules[0].name == "rule 1 (nightly → reports)"
    assert settings.warnings == ()


def test_encryption_keys_come_from_the_environment_or_as_a_credential_of_systemd(tmp_path):
    new, old = "n" * 43, "o" * 43
    environ = {"KEYS": f"{new} {old}", "CREDENTIALS_DIRECTORY": "/run/credentials/x"}
    minimal = '[callers.a]\nproof = "client_secret"\nsecrets = ["sha256:' + "0" * 64 + '"]\n'
    given = load(written(tmp_path, 'encryption_key = "${KEYS}"\n' + minimal), environ)
    assert given.encryption_key == f"{new} {old}"
    assert old not in repr(given)
    assert new not in repr(given)
    named = 'encryption_key_file = "${CREDENTIALS_DIRECTORY}/encryption.key"\n'
    settings = load(written(tmp_path, named + minimal), environ)
    assert settings.encryption_key_file == "/run/credentials/x/encryption.key"


@pytest.mark.parametrize(
    ("says", "host", "port"),
    [
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:8443", "::1", 8443),
        ("localhost:0", "localhost", 0),
    ],
)
def test_it_listens_where_it_is_told(tmp_path, says, host, port):
    path = written(tmp_path, f'listen = "{says}"\n{SMALL}')
    assert load(path, ENVIRON).listen == Listen(host=host, port=port)
    assert load(path, {**ENVIRON, "PORT": "9000"}).listen == Listen(host=host, port=9000)
    assert load(path, {**ENVIRON, "PORT": ""}).listen == Listen(host=host, port=port)


def test_a_port_that_is_none_is_told_with_everything_else(tmp_path):
    path = written(tmp_path, f"colour = 1\n{SMALL}")
    told = refused(path, {**ENVIRON, "PORT": "65536"})
    assert told[0] == "PORT: must be a port: a number up to 65535"
    assert told[1].startswith("tokenward.toml:1 colour")


def test_the_database_url_counts_where_the_file_names_no_store(tmp_path):
    without = written(tmp_path, SMALL.replace('store = "sqlite:t.db"', ""), "other.toml")
    url = "sqlite:///srv/there.db"
    assert load(without, {**ENVIRON, "DATABASE_URL": url}).store == url
    named = load(written(tmp_path, SMALL), {**ENVIRON, "DATABASE_URL": url})
    assert named.store == "sqlite:t.db"
    (told,) = refused(without, {**ENVIRON, "DATABASE_URL": "postgres://u:pa55word@h/db"})
    assert "pa55word" not in told


def test_memory_and_keys_of_our_own_are_warned_of(tmp_path):
    settings = load(written(tmp_path, SMALL.replace("sqlite:t.db", "memory:")), ENVIRON)
    (warning,) = settings.warnings
    assert "forgets the signing keys" in str(warning)


def test_variables_come_from_files_beside_the_file(tmp_path):
    (tmp_path / ".env").write_text(f"NIGHTLY_SECRET_HASH={HASH}\nnonsense\n")
    settings = load(written(tmp_path, SMALL), {})
    assert settings.clients["nightly"].proof.secrets == (HASH,)
    assert [warning.place for warning in settings.warnings] == [".env:2"]


def test_a_missing_variable_is_told_once_and_only_where_it_is_missing(tmp_path):
    (told,) = refused(written(tmp_path, SMALL), {})
    assert told.startswith("tokenward.toml:6 callers.nightly.secrets: NIGHTLY_SECRET_HASH is not")
    assert str(tmp_path) in told


def test_what_a_variable_holds_is_never_shown(tmp_path):
    source = SMALL.replace('"https://tokens.example.com/"', '"${MIXED_UP}"')
    (told,) = refused(written(tmp_path, source), {**ENVIRON, "MIXED_UP": SECRET})
    assert told.startswith("tokenward.toml:2 issuer: ")
    assert SECRET not in told


def test_clients_say_what_they_like_about_themselves(tmp_path):
    source = (
        SMALL
        + """
[callers.app]
proof = "none"
client_id = "app-1"
client_name = "The app"
contacts = ["me@example.com"]
redirect_uris = ["imodeljs://app/signin-callback"]
origins = ["https://app.example.com", "http://localhost:3000", "capacitor://localhost"]
grant_types = ["token_exchange", "urn:ietf:params:oauth:grant-type:jwt-bearer"]
"""
    )
    settings = load(written(tmp_path, source), ENVIRON)
    assert settings.clients.keys() == {"nightly", "app-1"}
    app = settings.clients["app-1"].client
    assert (app.id, app.name, app.scope) == ("app-1", "app", None)
    assert app.grant_types == {TOKEN_EXCHANGE, JWT_BEARER}
    assert settings.metadata["app-1"].client_name == "The app"
    assert settings.metadata["app-1"].redirect_uris == ("imodeljs://app/signin-callback",)
    assert settings.origins == {
        "https://app.example.com",
        "http://localhost:3000",
        "capacitor://localhost",
    }


def test_a_public_client_may_exchange_unless_it_says_otherwise(tmp_path):
    settings = load(written(tmp_path, SMALL + '[callers.app]\nproof = "none"\n'), ENVIRON)
    assert settings.clients["app"].client.grant_types == {TOKEN_EXCHANGE}


def test_names_in_the_file_become_client_ids(tmp_path):
    source = (
        SMALL.replace('proof = "client_secret"', 'proof = "client_secret"\nclient_id = "c-1"')
        .replace('audience = "reports"', 'audience = "r"\nintrospectors = ["nightly"]')
        .replace('token = "reports"', 'token = "reports"\nclient = "nightly"')
    )
    settings = load(written(tmp_path, source), ENVIRON)
    assert settings.tokens["reports"].introspectors == {"c-1"}
    assert (settings.rules[0].caller, settings.rules[0].client) == ("nightly", "c-1")


def test_a_star_means_all_scopes_there_are(tmp_path):
    source = SMALL.replace('audience = "reports"', 'audience = "r"\nscopes = ["a", "b"]')
    settings = load(written(tmp_path, source + 'scope = "*"\n'), ENVIRON)
    assert settings.rules[0].scope == settings.tokens["reports"].vocabulary == Scope.parse("a b")


def test_claims_may_be_anything_json_has_but_objects(tmp_path):
    source = (
        SMALL
        + """
[callers.people]
proof = "jwt"
issuer = "https://dev-x.us.auth0.com/"
audience = "reports"
[[allow]]
caller = "people"
token = "reports"
claims = { role = ["a", "b"], level = 3, verified = true, "org.id" = "x", share = 0.5 }
"""
    )
    assert load(written(tmp_path, source), ENVIRON).rules[1].claims == {
        "role": ("a", "b"),
        "level": 3,
        "verified": True,
        "org.id": "x",
        "share": 0.5,
    }


def test_a_file_with_a_byte_order_mark_and_windows_lines_is_read(tmp_path):
    path = tmp_path / "tokenward.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load(path, ENVIRON).tokens.keys() == {"reports"}


def itm(**more: str) -> dict[str, str]:
    return {
        "ITM_TOKEN_SERVER_CLIENT_ID": "service-app",
        "ITM_TOKEN_SERVER_CLIENT_SECRET": "it's a ${secret}",
        "ITM_TOKEN_SERVER_AUTH0_DOMAIN": "dev-x.us.auth0.com",
        **{f"ITM_TOKEN_SERVER_{name}": value for name, value in more.items()},
    }


def test_the_mobile_samples_variables_are_settings(tmp_path):
    settings = find(tmp_path, itm())
    assert settings.listen == Listen(host="0.0.0.0", port=3001)
    assert settings.issuers == settings.clients == {}
    assert settings.subjects["mobile"].proof == Jwt(
        issuer="https://dev-x.us.auth0.com/",
        audience="http://tokenserver.sample.bentley.com",
        jwks_uri="https://dev-x.us.auth0.com/.well-known/jwks.json",
    )
    scope = Scope.parse("itwinjs imodels:read users:read itwins:read")
    itwin = settings.tokens["itwin"]
    assert itwin.vocabulary == itwin.default == scope
    assert itwin.upstream == ClientCredentials(
        issuer="https://ims.bentley.com",
        client_id="service-app",
        client_secret="it's a ${secret}",
    )
    (rule,) = settings.rules
    assert (rule.caller, rule.token, rule.scope) == ("mobile", "itwin", scope)
    told = " ".join(map(str, settings.warnings))
    assert "plain http" in told
    assert "for anybody whom this issuer vouches for" in told
    assert "${secret}" not in repr(settings)


def test_the_mobile_samples_other_variables_count_too(tmp_path):
    settings = from_itm(
        itm(
            SCOPE="itwin-platform",
            AUTHORITY="https://ims.example.com/",
            PORT="4000",
            AUDIENCE="https://mine.example.com",
        ),
        tmp_path,
    )
    assert settings.listen.port == 4000
    assert settings.tokens["itwin"].default == Scope.parse("itwin-platform")
    assert settings.tokens["itwin"].upstream.issuer == "https://ims.example.com"
    assert settings.subjects["mobile"].proof.audience == "https://mine.example.com"


@pytest.mark.parametrize(
    ("environ", "authority"),
    [
        ({"IMJS_URL_PREFIX": "qa-"}, "https://qa-ims.bentley.com"),
        ({"IMJS_URL_PREFIX": "dev-"}, "https://qa-ims.bentley.com"),
        (
            {"IMJS_URL_PREFIX": "qa-", "ITM_TOKEN_SERVER_AUTHORITY": "https://ims.bentley.com"},
            "https://ims.bentley.com",
        ),
    ],
)
def test_itwins_own_prefix_chooses_the_authority(tmp_path, environ, authority):
    settings = from_itm({**itm(), **environ}, tmp_path)
    assert settings.tokens["itwin"].upstream.issuer == authority


@pytest.mark.parametrize(
    ("domain", "issuer"),
    [
        ("dev-x.us.auth0.com", "https://dev-x.us.auth0.com/"),
        ("https://dev-x.us.auth0.com/", "https://dev-x.us.auth0.com/"),
        ("localhost:8443", "https://localhost:8443/"),
        ("http://127.0.0.1:4001", "http://127.0.0.1:4001/"),
        ("http://localhost:4001", "http://localhost:4001/"),
    ],
)
def test_the_tenants_issuer_is_its_domain(tmp_path, domain, issuer):
    proof = from_itm(itm(AUTH0_DOMAIN=domain), tmp_path).subjects["mobile"].proof
    assert (proof.issuer, proof.jwks_uri) == (issuer, f"{issuer}.well-known/jwks.json")


def test_the_mobile_samples_variables_may_stand_in_its_files(tmp_path):
    (tmp_path / ".env").write_text("ITM_TOKEN_SERVER_CLIENT_ID=x\nITM_TOKEN_SERVER_PORT=1")
    (tmp_path / ".env.local").write_text(
        "".join(f'{name}="{value}"\n' for name, value in itm().items())
    )
    settings = find(tmp_path, {"PORT": "2"})
    assert settings.tokens["itwin"].upstream.client_id == "service-app"
    assert settings.listen.port == 1


@pytest.mark.parametrize(
    ("environ", "places"),
    [
        ({"ITM_TOKEN_SERVER_SCOPE": "x"}, ["_CLIENT_ID", "_CLIENT_SECRET", "_AUTH0_DOMAIN"]),
        ({"ITM_TOKEN_SERVER_PORT": "x"}, ["", "", "", "_PORT"]),
        (itm(CLIENT_SECRET=""), ["_CLIENT_SECRET"]),
        (itm(CLIENT_SECRET="", CLIENT_SECRET_FILE="nowhere"), ["_CLIENT_SECRET"]),
        (itm(AUTH0_DOMAIN="http://dev-x.us.auth0.com"), ["_AUTH0_DOMAIN"]),
        (itm(AUTH0_DOMAIN="dev-x.us.auth0.com/path"), ["_AUTH0_DOMAIN"]),
        (itm(AUTHORITY="http://ims.example.com"), ["_AUTHORITY"]),
        (itm(AUTH0_DOMAIN="/", SCOPE='"', PORT="x"), ["_AUTH0_DOMAIN", "_PORT", "_SCOPE"]),
        (itm(PORT="65536"), ["_PORT"]),
    ],
)
def test_what_is_wrong_with_the_mobile_samples_variables_is_told_by_their_names(
    tmp_path, environ, places
):
    with pytest.raises(ConfigError) as caught:
        find(tmp_path, environ)
    told = [problem.place for problem in caught.value.problems]
    assert len(told) == len(places)
    for place, expected in zip(told, places, strict=True):
        assert place.startswith(f"ITM_TOKEN_SERVER{expected}")
    assert "secret}" not in str(caught.value)


def test_a_prefix_that_is_none_of_itwins_is_told(tmp_path):
    with pytest.raises(ConfigError, match="names no environment of the iTwin Platform"):
        from_itm({**itm(), "IMJS_URL_PREFIX": "evil.example.com/"}, tmp_path)


def test_the_file_comes_before_the_mobile_samples_variables(tmp_path):
    written(tmp_path, SMALL)
    settings = find(tmp_path, {**ENVIRON, **itm()})
    assert settings.tokens.keys() == {"reports"}
    (warning,) = settings.warnings
    assert warning.place.startswith("ITM_TOKEN_SERVER_")
    assert "is ignored" in warning.message


def test_neither_file_nor_variables_is_answered_with_a_file_to_begin_with(tmp_path):
    with pytest.raises(ConfigError) as caught:
        find(tmp_path, {})
    (problem,) = caught.value.problems
    assert STARTER in problem.hint
    assert "tokenward dev" in problem.hint
    assert load(written(tmp_path, STARTER), ENVIRON).warnings == ()


def test_where_dev_runs_its_file_is_named(tmp_path):
    practice = tmp_path / ".tokenward" / "tokenward.toml"
    for there in (False, True):
        with pytest.raises(ConfigError) as wrong:
            find(tmp_path, {})
        (problem,) = wrong.value.problems
        assert (f"--config {practice}" in problem.hint) is there
        practice.parent.mkdir(exist_ok=True)
        practice.write_text(STARTER)


def test_an_empty_file_is_warned_of(tmp_path):
    (warning,) = load(written(tmp_path, ""), {}).warnings
    assert "there is nothing to ask for" in str(warning)
