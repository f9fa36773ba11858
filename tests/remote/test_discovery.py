"""An issuer's metadata: its own, from where it belongs, leading nowhere else."""

import json

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers import OAUTH, OPENID, Issuer
from tokenward.remote.discovery import check_url, discover, is_loopback
from tokenward.remote.fetch import RemoteError, open_client, run

ISSUER = "https://issuer.example"


def found(issuer):
    with open_client() as client:
        return run(discover(issuer), client)


def answer(metadata, status=200):
    return httpx2.Response(status, content=json.dumps(metadata).encode())


def metadata_of(issuer=ISSUER, **more):
    return {"issuer": issuer, "jwks_uri": f"{ISSUER}/keys"} | more


MISSING = httpx2.Response(404)


def test_the_endpoints_are_found(issuer):
    metadata = found(issuer.url)
    assert metadata.issuer == issuer.url
    assert metadata.need("jwks_uri") == issuer.jwks_uri
    assert metadata.need("token_endpoint") == f"{issuer.origin}/token"
    assert issuer.asked == [OPENID]


@pytest.mark.parametrize(
    ("name", "places"),
    [
        (ISSUER, [f"{ISSUER}{OPENID}", f"{ISSUER}{OAUTH}"]),
        (f"{ISSUER}/", [f"{ISSUER}{OPENID}", f"{ISSUER}{OAUTH}"]),
        (
            f"{ISSUER}/oauth2/orders",
            [
                f"{ISSUER}/oauth2/orders{OPENID}",
                f"{ISSUER}{OAUTH}/oauth2/orders",
                f"{ISSUER}/oauth2/orders{OAUTH}",
            ],
        ),
        (
            f"{ISSUER}:8443/a/",
            [f"{ISSUER}:8443/a{OPENID}", f"{ISSUER}:8443{OAUTH}/a", f"{ISSUER}:8443/a{OAUTH}"],
        ),
    ],
)
def test_every_place_is_tried_in_order(name, places):
    flow = discover(name)
    urls = [str(next(flow).url)]
    urls += [str(flow.send(MISSING).url) for _ in places[1:]]
    assert urls == places
    with pytest.raises(RemoteError, match="no metadata") as caught:
        flow.send(MISSING)
    assert caught.value.status == 404


@pytest.mark.parametrize("place", [OAUTH + "/a", "/a" + OAUTH, "/a" + OPENID])
def test_metadata_is_found_at_each_place(place, key):
    with Issuer(key, path="/a").serving() as issuer:
        issuer.places = {place}
        assert found(issuer.url).jwks_uri == issuer.jwks_uri


@pytest.mark.parametrize("status", [400, 401, 403, 410, 500, 503])
def test_only_a_404_leads_to_the_next_place(status):
    flow = discover(ISSUER)
    next(flow)
    with pytest.raises(RemoteError) as caught:
        flow.send(httpx2.Response(status))
    assert caught.value.status == status


@pytest.mark.parametrize(
    "said",
    [
        "https://other.example",
        f"{ISSUER}/",
        f"{ISSUER}:443",
        f"{ISSUER} ",
        "HTTPS://issuer.example",
        "https://ISSUER.example",
        f"{ISSUER}/tenant",
        "http://issuer.example",
        [ISSUER],
        {"issuer": ISSUER},
        None,
        7,
        "",
    ],
)
def test_metadata_of_another_issuer_is_refused(said):
    flow = discover(ISSUER)
    next(flow)
    with pytest.raises(RemoteError, match="metadata of another issuer") as caught:
        flow.send(answer(metadata_of(said)))
    assert "other.example" not in caught.value.reason


def test_a_slash_too_many_is_pointed_out():
    flow = discover(ISSUER)
    next(flow)
    with pytest.raises(RemoteError, match="slash at the end"):
        flow.send(answer(metadata_of(f"{ISSUER}/")))


@pytest.mark.parametrize("name", ["jwks_uri", "token_endpoint", "introspection_endpoint"])
@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/keys",
        "https://issuer.example.evil.example/keys",
        "https://issuer.example:8443/keys",
        "http://issuer.example/keys",
        "https://issuer.example@evil.example/keys",
        "https://evil.example\\@issuer.example/keys",
        "https://issuer.example\\.evil.example/keys",
        "https://evil.example#@issuer.example/keys",
        "https://issuer.example%2eevil.example/",
        "//issuer.example/keys",
        "/keys",
        "file:///etc/passwd",
        "https:///keys",
        "https://issuer.example:99999/keys",
        "https://issuer.example:x/keys",
        "http://127.0.0.1/keys",
        "http://169.254.169.254/latest/meta-data",
        "https://issuer.example/\r\nkeys",
        "https://issuer.example/" + "a" * 3_000,
        "",
        ["https://issuer.example/keys"],
        7,
        {},
        False,
    ],
)
def test_an_endpoint_elsewhere_is_not_used_unless_configured(name, url):
    flow = discover(ISSUER)
    next(flow)
    metadata = result(flow, answer(metadata_of(**{name: url})))
    assert getattr(metadata, name) == ""
    with pytest.raises(RemoteError, match=f"configure {name} explicitly") as caught:
        metadata.need(name)
    assert "evil" not in caught.value.reason


def result(flow, answer):
    with pytest.raises(StopIteration) as end:
        flow.send(answer)
    return end.value.value


def test_one_endpoint_elsewhere_does_not_spoil_the_others():
    flow = discover(ISSUER)
    next(flow)
    metadata = result(flow, answer(metadata_of(token_endpoint="https://x.example/t")))
    assert metadata.need("jwks_uri") == f"{ISSUER}/keys"


def test_a_missing_endpoint_is_said_to_be_missing():
    flow = discover(ISSUER)
    next(flow)
    metadata = result(flow, answer(metadata_of()))
    with pytest.raises(RemoteError, match="has no token_endpoint; configure token_endpoint"):
        metadata.need("token_endpoint")


def test_an_explicit_default_port_is_the_same_host():
    flow = discover(ISSUER)
    next(flow)
    url = "https://ISSUER.example:443/keys"
    metadata = result(flow, answer(metadata_of(jwks_uri=url)))
    assert metadata.jwks_uri == url


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.example",
        "https://issuer.example/",
        "https://issuer.example:8443/a/b?c=d",
        "https://192.0.2.7/",
        "https://[2001:db8::1]/",
        "http://127.0.0.1:8080",
        "http://127.9.9.9/",
        "http://[::1]:3000/a",
        "http://localhost:3001",
    ],
)
def test_sound_urls_are_sound(url):
    assert check_url(url).geturl() == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "issuer.example",
        "http://issuer.example",
        "http://localhost.evil.example",
        "http://localhost.",
        "http://127.0.0.1.evil.example",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://[::ffff:10.0.0.1]",
        "http://user@localhost",
        "https://user:password@issuer.example",
        "https://issuer.example#fragment",
        "https://issuer.example\\evil",
        "https://issuer.example/ space",
        "https://issuer.example/\u00e9",
        "https://\uff49ssuer.example",
        "https://issuer.example:0",
        "https://issuer.example:99999",
        "https://[::1",
        "ftp://issuer.example",
        "javascript:alert(1)",
        "https://",
        "https://issuer.example/" + "a" * 2_000,
    ],
)
def test_unsound_urls_are_refused_and_not_asked(url):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says differs
        check_url(url)
    assert url in ("", "https://") or url not in str(caught.value)
    with pytest.raises(RemoteError, match="the issuer's URL"):
        next(discover(url))


@pytest.mark.parametrize("query", ["?", "?a=b", "/a?b"])
def test_an_issuer_with_a_query_is_none(query):
    with pytest.raises(RemoteError, match="no query"):
        next(discover(ISSUER + query))


@given(st.text(max_size=80) | st.from_regex(r"https?://[^/]{0,30}(/.{0,20})?", fullmatch=True))
def test_any_text_is_a_sound_url_or_a_value_error(url):
    try:
        parts = check_url(url)
    except ValueError:
        return
    assert parts.scheme == "https" or is_loopback(parts.hostname)
    assert httpx2.URL(url).host == parts.hostname.lower()


@given(
    st.dictionaries(
        st.sampled_from(["issuer", "jwks_uri", "token_endpoint", "x"]),
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=20) | st.just(ISSUER),
    )
)
def test_any_document_is_metadata_or_a_remote_error(document):
    flow = discover(ISSUER)
    next(flow)
    try:
        flow.send(answer(document))
    except StopIteration as end:
        assert end.value.issuer == ISSUER  # noqa: PT017
    except RemoteError as exc:
        assert "another issuer" in exc.reason  # noqa: PT017
