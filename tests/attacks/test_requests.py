"""What a token request may look like, and what it may not (RFC 6749 §3.2, §5.2; RFC 8707; CORS)."""

import time
from base64 import b64encode

import pytest

from tests.attacks.lab import API, FORM, LAZY, NIGHTLY, REPORTS, basic, claims_of
from tests.world import API_SECRET, SECRET, hashed


@pytest.mark.parametrize(
    "form",
    [
        REPORTS,
        REPORTS + "&",
        "&" + REPORTS,
        REPORTS + "&scope=",
        REPORTS + "&scope=+",
        REPORTS + "&scope=reports:read++reports:write",
        REPORTS + "&scope=+reports:read+",
        REPORTS + "&scope=reports:read+reports:read",
        REPORTS + "&scope=reports%3Aread",
        REPORTS + "&audience=reports",
        REPORTS + "&audience=https://api.example.com/reports",
        REPORTS + "&resource=https%3A%2F%2Fapi.example.com%2Freports",
        REPORTS + "&resource=",
        REPORTS + "&client_id=nightly",
        REPORTS + "&client_secret=",
        REPORTS + "&unknown=%C3%A9",
        REPORTS + "&unknown",
        REPORTS + "&state=" + "a" * 30_000,
        "grant_type=client_credentials",
        "grant%5Ftype=client%5Fcredentials",
    ],
)
def test_a_legal_request_gets_a_token(server, form):
    answer = server.post(form=form)
    assert answer.status == 200, answer
    assert answer["cache-control"] == "no-store"
    assert answer["pragma"] == "no-cache"
    assert answer["content-type"] == "application/json"
    assert answer.json["token_type"] == "Bearer"


@pytest.mark.parametrize(
    "kind", [FORM, FORM.upper(), f"{FORM};charset=UTF-8", f"{FORM} ; charset=utf-8", f" {FORM} "]
)
def test_a_form_is_a_form_however_it_is_called(server, kind):
    assert server.post(kind=kind).status == 200


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "", None])
def test_what_is_no_form_is_refused(server, kind):
    assert server.post(kind=kind).error == (400, "invalid_request")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("", "invalid_request"),
        ("audience=reports", "invalid_request"),
        (REPORTS + "&grant_type=client_credentials", "invalid_request"),
        (REPORTS + "&scope=reports:read&scope=reports:read", "invalid_request"),
        (REPORTS + "&x=1&x=2", "invalid_request"),
        (REPORTS + "&x=%zz", "invalid_request"),
        (REPORTS + "&x=%00", "invalid_request"),
        (REPORTS + "&x=a%0D%0Ab", "invalid_request"),
        (REPORTS + "&x=%ff", "invalid_request"),
        (REPORTS + "&x=1" * 70, "invalid_request"),
        (REPORTS + "&client_id=lazy", "invalid_request"),
        (REPORTS + f"&client_id=nightly&client_secret={SECRET}", "invalid_request"),
        (REPORTS.replace("&", ";"), "unsupported_grant_type"),
        ("grant_type=Client_Credentials", "unsupported_grant_type"),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=authorization_code&code=x", "unsupported_grant_type"),
        (REPORTS + "&scope=reports:admin", "invalid_scope"),
        (REPORTS + "&scope=Reports:read", "invalid_scope"),
        (REPORTS + "&scope=reports:read%09reports:write", "invalid_scope"),
        (REPORTS + "&scope=%22", "invalid_scope"),
        (REPORTS + "&scope=" + "a" * 5_000, "invalid_scope"),
        ("grant_type=client_credentials&audience=nothing", "invalid_target"),
        ("grant_type=client_credentials&audience=Reports", "invalid_target"),
        ("grant_type=client_credentials&audience=itwin", "invalid_target"),
        ("grant_type=client_credentials&audience=reports&audience=models", "invalid_target"),
        ("grant_type=client_credentials&resource=reports", "invalid_target"),
        (REPORTS + "&resource=https://api.example.com/reports%23x", "invalid_target"),
        (REPORTS + "&resource=https://api.example.com/reports/", "invalid_target"),
        (REPORTS + "&audience=reports" * 20, "invalid_target"),
    ],
)
def test_a_near_miss_is_refused_with_the_code_of_its_rfc(server, form, error):
    answer = server.post(form=form)
    assert answer.error == (400, error)
    assert answer["cache-control"] == "no-store"
    assert set(answer.json["error_description"]) <= {chr(it) for it in range(32, 127)} - set('"\\')


@pytest.mark.parametrize("scheme", ["Basic ", "basic ", "BASIC "])
def test_the_name_of_a_scheme_has_no_case(server, scheme):
    header = basic(*NIGHTLY).replace("Basic ", scheme)
    assert server.post("/token", REPORTS, None, ("Authorization", header)).status == 200


@pytest.mark.parametrize(
    "header",
    [basic("%6eightly", SECRET), basic(*NIGHTLY) + " ", basic(*NIGHTLY) + "\t"],
    ids=["form-encoded", "space after it", "tab after it"],
)
def test_credentials_may_be_escaped_and_blanks_around_a_field_are_nothing(server, header):
    """RFC 6749 §2.3.1; RFC 9110 §5.5."""
    assert server.post("/token", REPORTS, None, ("Authorization", header)).status == 200


def test_two_spaces_after_a_scheme_are_legal(server):
    """RFC 9110 §11.4: credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]."""
    header = basic(*NIGHTLY).replace(" ", "  ")
    assert server.post("/token", REPORTS, None, ("Authorization", header)).status == 200


def b64(text):
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !!!!",
        "Basic " + b64("nightly"),
        "Basic " + b64(":" + SECRET),
        "Basic " + b64("nightly:"),
        "Basic " + b64(f"nightly:{SECRET}\0"),
        "Basic " + b64(f"nightly:{SECRET} "),
        "Basic " + b64(f" nightly:{SECRET}"),
        "Basic " + b64(f"Nightly:{SECRET}"),
        "Basic " + b64(f"nightly:{SECRET[:-1]}"),
        "Basic " + b64(f"nightly:{SECRET.upper()}"),
        "Basic " + b64(f"nightly:{SECRET}+"),
        "Basic " + b64(f"nightly:{hashed(SECRET)}"),
        "Basic " + b64(f"nightly:{hashed(SECRET)[7:]}"),
        "Basic " + b64(f"nightly:{API_SECRET}"),
        "Basic " + b64("nightly:é"),
        "Basic " + b64("nightly:" + "x" * 6_000),
        "Basic " + b64("browser:"),
        "Basic " + b64(f"nobody:{SECRET}"),
        basic(*NIGHTLY) + ", " + basic(*NIGHTLY),
        "Bearer abc",
        "Digest username=nightly",
        "Negotiate abc",
    ],
)
def test_credentials_that_nearly_fit_are_refused(server, header):
    answer = server.post("/token", REPORTS, None, ("Authorization", header))
    assert answer.error == (401, "invalid_client")
    assert answer["www-authenticate"] == 'Basic realm="tokenward"'


def test_one_cannot_tell_an_unknown_client_from_a_wrong_secret_or_another_method(server):
    bodies = {
        server.post(auth=("nightly", "wrong")).body,
        server.post(auth=("nobody", "wrong")).body,
        server.post(auth=("browser", "wrong")).body,
        server.post(form=REPORTS + "&client_id=nightly", auth=None).body,
        server.post(form=REPORTS + "&client_id=nobody", auth=None).body,
        server.post(form=REPORTS + "&client_id=nobody&client_secret=x", auth=None).body,
    }
    assert len(bodies) == 1


def test_two_authorization_headers_are_refused_even_if_they_are_the_same(server):
    header = ("Authorization", basic(*NIGHTLY))
    answer = server.post("/token", REPORTS, None, header, header)
    assert answer.error == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
def test_secrets_in_the_url_count_for_nothing(server, path):
    answer = server.post(f"{path}?client_id=nightly&client_secret={SECRET}&token=x", auth=None)
    assert answer.error == (400, "invalid_request")
    assert server.ask("GET", f"{path}?{REPORTS}").status == 405


def test_a_client_may_do_only_what_it_is_registered_for(server):
    assert server.post(auth=API).error == (400, "unauthorized_client")
    public = server.post(form=REPORTS + "&client_id=browser", auth=None)
    assert public.error[1] in ("unauthorized_client", "invalid_client")
    wide = server.post(form=REPORTS + "&scope=reports:write", auth=LAZY)
    assert wide.error == (400, "invalid_scope")


def test_what_is_said_about_a_token_is_what_it_says(server):
    said = server.post(form=REPORTS + "&scope=reports:read").json
    claims = claims_of(said["access_token"])
    assert said["scope"] == claims["scope"] == "reports:read"
    assert said["expires_in"] == claims["exp"] - claims["iat"]


@pytest.mark.parametrize(
    ("path", "form", "error", "words"),
    [
        ("", "&scope=nothing", "invalid_scope", "One or more scopes are not configured"),
        ("", "&scope=other_scope", "access_denied", "Policy evaluation failed"),
        ("", "&scope=such_scope&audience=reports", "access_denied", "Policy evaluation failed"),
        ("", "&scope=%22", "invalid_scope", ""),
    ],
)
def test_an_okta_issuer_says_no_in_oktas_words(server, path, form, error, words):
    answer = server.post(f"/oauth2/orders/v1/token{path}", f"grant_type=client_credentials{form}")
    assert answer.error == (400, error)
    assert answer.json["error_description"].startswith(words)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.com.evil"])
@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke", "/getToken", "/authorize"])
def test_pages_of_strangers_read_nothing(server, path, origin):
    for method in ("OPTIONS", "GET", "POST"):
        answer = server.ask(method, path, ("Origin", origin))
        assert answer["access-control-allow-origin"] == ""
        assert answer["access-control-allow-credentials"] == ""


@pytest.mark.parametrize("path", ["/token", "/revoke", "/getToken"])
def test_pages_of_registered_origins_may_ask(server, path):
    asked = (
        ("Origin", "https://app.example.com"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization, content-type"),
    )
    answer = server.ask("OPTIONS", path, *asked)
    assert answer.status == 204
    assert answer["access-control-allow-origin"] == "https://app.example.com"
    assert "authorization" in answer["access-control-allow-headers"].lower()
    assert answer["vary"] == "Origin"
    refused = server.ask("POST" if path != "/getToken" else "GET", path, asked[0])
    assert refused.status in (400, 401)
    assert refused["access-control-allow-origin"] == "https://app.example.com"


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/.well-known/openid-configuration"])
def test_what_a_cache_knows_is_not_sent_again(server, path):
    tag = server.ask("GET", path)["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = server.ask("GET", path, ("If-None-Match", known))
        assert (answer.status, answer.body) == (304, b""), known
    assert server.ask("GET", path, ("If-None-Match", '"x"')).status == 200


def test_a_list_may_come_in_several_fields(server):
    """RFC 9110 §5.3: fields of a list may be repeated; If-None-Match is one (§13.1.2)."""
    path = "/.well-known/jwks.json"
    tag = server.ask("GET", path)["etag"]
    two = ("If-None-Match", '"x"'), ("If-None-Match", tag)
    assert server.ask("GET", path, *two).status == 304


def test_metadata_does_not_believe_the_host_header(server):
    path = "/.well-known/oauth-authorization-server"
    assert server.ask("GET", path, host="evil.example").body == server.ask("GET", path).body
    assert b"null" not in server.ask("GET", path).body


NOT_OURS = [
    *("/", "/token/", "/Token", "//token", "/./token", "/x/../token", "/%74oken", "/token;x"),
    *("/token%20", "/token%00", "/.env", "/admin", "/metrics", "/static/../x", "/..%2fetc"),
]


@pytest.mark.parametrize("path", NOT_OURS)
def test_what_only_looks_like_a_path_of_ours_is_none(server, path):
    assert server.ask("POST", path).status == 404


@pytest.mark.parametrize("name", ["grant_type", "audience", "scope", "client_id"])
@pytest.mark.parametrize("word", ["eyJ", "eyJ.", "a ", "%2B", "=", "|", "-----BEGIN A-----"])
def test_no_text_takes_long_to_look_at(server, name, word):
    """While one is looked at, nobody else is heard."""
    form = REPORTS.replace(f"{name}=", "x=") + f"&{name}=" + word * (60_000 // len(word))
    began = time.monotonic()
    assert 400 <= server.post(form=form).status < 500
    assert time.monotonic() - began < 2
