"""Tokens of a Textile Hub for a key of ours: by both ways, from a right Hub and from bad ones."""

import hmac
import ssl
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256

import pytest

from tests import textile
from tests.docs import examples
from tests.hub import KEY, SECRET
from tests.server.upstreams.granting import NOW, granted
from tests.server.upstreams.test_registration import certificate_of, pem_of
from tests.textile import by_grpc, by_websocket, challenge, field_of, token_of
from tests.upstream import THEIRS
from tests.world import hashed
from tokenward.cli.trying import tried
from tokenward.jose import multibase
from tokenward.jose.identity import PrivateKey
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import RemoteError, arun, open_async_client
from tokenward.server.broker import Broker
from tokenward.server.settings import load
from tokenward.server.upstreams import carrier_for, passes
from tokenward.server.upstreams.textile_hub import TextileHub

SOMEBODY, ANOTHER = PrivateKey.generate(), PrivateKey.generate()
WAYS = {"websocket": by_websocket, "grpc": by_grpc}


def upstream_of(hub, way, **settings):
    said = {"url": hub.url, "key": KEY, "secret": SECRET, "private_key": SOMEBODY.to_string()}
    return TextileHub(**{**said, "transport": way, **settings})


async def asked(upstream):
    async with open_async_client(transport=carrier_for(upstream)) as http:
        return await arun(upstream.flow(granted(), now=NOW), http, deadline=5)


@asynccontextmanager
async def broker_of(upstream, *, deadline=5.0):
    async with open_async_client(transport=carrier_for(upstream)) as http:
        broker = Broker(upstream=upstream, http=http, clock=lambda: NOW, deadline=deadline)
        yield broker
        await broker.close()


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


async def test_a_token_for_the_key_that_signs(way):
    async with WAYS[way]() as hub:
        token = await asked(upstream_of(hub, way))
        await hub.all_gone()
    assert token.value == token_of(SOMEBODY.public)
    assert (token.expires_at, str(token.scope)) == (NOW + 3_600, "")
    said = hub.heard[0]
    assert said["x-textile-api-key"] == KEY
    message = said["x-textile-api-sig-msg"]
    mark = hmac.digest(multibase.decode(SECRET), message.encode(), sha256)
    assert said["x-textile-api-sig"] == multibase.encode(mark)
    assert message.endswith("Z")
    ahead = datetime.fromisoformat(message).timestamp() - datetime.now().timestamp()  # noqa: DTZ005
    assert 30 < ahead < 61


@pytest.mark.parametrize("settings", [{"secret": ""}, {"secret": "", "key": ""}])
async def test_nothing_is_signed_without_a_secret_and_nothing_named_without_a_key(way, settings):
    async with WAYS[way]() as hub:
        await asked(upstream_of(hub, way, **settings))
    said = {name for name in hub.heard[0] if name.startswith("x-textile")}
    assert said == ({"x-textile-api-key"} if "key" not in settings else set())


@pytest.mark.parametrize("kind", ["p256", "secp256k1"])
async def test_other_kinds_of_keys_sign_as_libp2p_does(kind):
    key = PrivateKey.generate(kind)

    async def behave(talk):
        assert await talk.asked() == key.public
        await talk.say(challenge())
        assert key.public.verify(textile.CHALLENGE, await talk.signed())
        await talk.say(field_of(2, token_of(key.public).encode()))

    async with by_websocket() as hub:
        hub.always = behave
        token = await asked(upstream_of(hub, "websocket", private_key=key.to_string()))
    assert token.value == token_of(key.public)


async def test_a_crowd_asks_once_and_each_new_question_is_signed_anew(way):
    async with WAYS[way]() as hub, broker_of(upstream_of(hub, way)) as broker:
        first = await broker.issue(granted())
        again = await broker.issue(granted())
        broker.forget(NOW + 1)
        broker._forgotten = 0
        await broker.issue(granted())
    assert first is again
    assert (broker.counters.asked, broker.counters.fetched, broker.counters.served) == (2, 2, 3)
    assert len(hub.heard) == 2


async def test_a_token_lives_as_long_as_it_says_and_else_as_long_as_configured():
    async with by_websocket() as hub:
        hub.always = textile.gives(token_of(SOMEBODY.public, exp=int(NOW) + 77))
        assert (await asked(upstream_of(hub, "websocket"))).expires_at == NOW + 77
        hub.always = textile.gives("opaque")
        assert (await asked(upstream_of(hub, "websocket", lifetime=120.0))).expires_at == NOW + 120


# ── a Hub that refuses ──────────────────────────────────────────────────────────────────────────

REFUSALS = {
    16: ("invalid_client", False),
    5: ("invalid_client", False),
    7: ("access_denied", False),
    3: ("invalid_request", False),
    2: ("", False),
    1: ("", True),
    4: ("", True),
    8: ("temporarily_unavailable", True),
    13: ("server_error", True),
    14: ("temporarily_unavailable", True),
}


@pytest.mark.parametrize("number", REFUSALS)
async def test_a_refusal_is_told_by_its_number_and_never_in_their_words(way, number):
    async with WAYS[way]() as hub:
        hub.always = textile.refuses(number)
        with pytest.raises(RemoteError) as caught:
            await asked(upstream_of(hub, way))
        await hub.all_gone()
    assert (caught.value.code, caught.value.transient) == REFUSALS[number]
    assert THEIRS not in caught.value.reason


@pytest.mark.parametrize("number", [2, 3, 7])
async def test_a_signature_that_does_not_fit_is_about_the_key_and_no_fault_of_the_hub(way, number):
    async with WAYS[way]() as hub:
        hub.always = textile.refuses(number, signed=True)
        with pytest.raises(RemoteError) as caught:
            await asked(upstream_of(hub, way))
    assert (caught.value.code, caught.value.transient) == ("invalid_grant", False)


async def test_a_refused_caller_hears_no_word_of_it_and_nothing_is_left_open(way):
    async with WAYS[way]() as hub, broker_of(upstream_of(hub, way)) as broker:
        hub.always = textile.refuses(16)
        with pytest.raises(TemporarilyUnavailable) as caught:
            await broker.issue(granted())
        await hub.all_gone()
    told = caught.value
    assert told.to_json()["error_description"] == "the upstream gave no token"
    assert told.detail.endswith("invalid_client")
    assert "gRPC status 16" in told.detail
    assert THEIRS not in told.detail


# ── a Hub that misbehaves ───────────────────────────────────────────────────────────────────────

BAD = {
    "says nothing": textile.silent,
    "says nothing after the challenge": textile.silent_at_the_end,
    "hangs up": textile.hangs_up,
    "hangs up after the challenge": textile.hangs_up_after_the_challenge,
    "an empty challenge": textile.says(b""),
    "a short challenge": textile.says(challenge(b"c" * 31)),
    "a long challenge": textile.says(challenge(b"c" * 33)),
    "a statement of ours as a challenge": textile.says(challenge(b"eyJhbGciOiJFZERTQSJ9." * 9)),
    "a token at once": textile.says(field_of(2, b"token")),
    "no protobuf": textile.says(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    "a message that is cut off": textile.says(b"\x0a\x20short"),
    "two challenges": textile.says(challenge(), challenge()),
    "no token": textile.gives(""),
    "a token with blanks": textile.gives("two words"),
    "a token with a line break": textile.gives("two\nlines"),
    "a token that is too long": textile.gives("t" * 70_000),
    "a token for another": textile.gives(token_of(ANOTHER.public)),
    "a token for nobody we know": textile.gives(token_of(SOMEBODY.public, sub=THEIRS)),
    "a token for a number": textile.gives(token_of(SOMEBODY.public, sub=1)),
    "a dead token": textile.gives(token_of(SOMEBODY.public, exp=int(NOW) - 1)),
    "a token with an end that is none": textile.gives(token_of(SOMEBODY.public, exp=THEIRS)),
    "a token that is no JSON": textile.gives("e30.bm8.AA"),
    "an end without a reason": textile.says(),
}
WEBSOCKET_ONLY = {
    "text": textile.frames("text"),
    "no gRPC-web": textile.frames(b"\x42\0\0\0\1x"),
    "a message that is too long": textile.frames(b"\0\xff\xff\xff\xff"),
    "a frame that is too long": textile.frames(b"\0" * 200_000),
    "a status that is no number": textile.frames(b"\x80\0\0\0\x11grpc-status: a b\r\n"),
    "headers without end": textile.endless,
}


async def gets_nothing(hub, way, **settings):
    async with broker_of(upstream_of(hub, way, **settings), deadline=0.5) as broker:
        with pytest.raises(TemporarilyUnavailable) as caught:
            await broker.issue(granted())
        assert (broker.counters.errors, broker.counters.served) == (1, 0)
    await hub.all_gone()
    for text in (str(caught.value), repr(caught.value), caught.value.detail):
        assert THEIRS not in text
        assert SOMEBODY.to_string() not in text
        assert SECRET not in text
    return caught.value.detail


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_hub_is_no_token_and_nothing_is_left_open(way, bad):
    async with WAYS[way]() as hub:
        hub.always = BAD[bad]
        await gets_nothing(hub, way)
        assert hub.heard


@pytest.mark.parametrize("bad", WEBSOCKET_ONLY)
async def test_a_bad_proxy_is_no_token_and_nothing_is_left_open(bad):
    async with by_websocket() as hub:
        hub.always = WEBSOCKET_ONLY[bad]
        await gets_nothing(hub, "websocket")
        assert hub.heard


@pytest.mark.parametrize("status", [200, 302, 307, 401, 404, 500, 503])
async def test_a_hub_that_is_none_is_told_by_its_status_and_no_redirect_is_followed(status):
    async with by_websocket() as hub, by_websocket() as elsewhere:
        hub.answers, hub.location = status, elsewhere.url
        detail = await gets_nothing(hub, "websocket")
        assert f"answered {status}" in detail
        assert not elsewhere.heard


async def test_whoever_speaks_another_protocol_is_told_nothing():
    async with by_websocket(subprotocol="") as hub:
        detail = await gets_nothing(hub, "websocket")
        assert "gRPC-web" in detail
        assert not hub.heard


async def test_nobody_there(way):
    async with WAYS[way]() as hub:
        gone = hub.url
    hub.url = gone
    detail = await gets_nothing(hub, way)
    assert "127.0.0.1" in detail


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def certificate(ec_private, tmp_path_factory):
    """For 127.0.0.1: its key and itself, as PEM, and the file that it is in."""
    pem = certificate_of(ec_private, host="127.0.0.1")
    path = tmp_path_factory.mktemp("tls") / "hub.pem"
    path.write_text(pem)
    key = path.with_name("key.pem")
    key.write_text(pem_of(ec_private))
    return pem_of(ec_private).encode(), pem.encode(), path, key


@pytest.fixture(scope="module")
def ec_private():
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    return ec.generate_private_key(ec.SECP256R1())


@asynccontextmanager
async def with_tls(way, certificate):
    key, pem, *files = certificate
    if way == "grpc":
        async with by_grpc(pem=(key, pem)) as hub:
            yield hub
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        async with by_websocket(tls=context) as hub:
            yield hub


async def test_a_hub_with_a_certificate_that_is_believed(way, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[2]))
    async with with_tls(way, certificate) as hub:
        assert (await asked(upstream_of(hub, way))).value == token_of(SOMEBODY.public)


async def test_a_hub_whose_certificate_is_not_believed_is_told_nothing(way, certificate):
    async with with_tls(way, certificate) as hub:
        assert "not trusted here" in await gets_nothing(hub, way)
        assert not hub.heard


async def test_a_hub_with_a_certificate_for_another_name_is_told_nothing(
    way, certificate, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[2]))
    async with with_tls(way, certificate) as hub:
        hub.url = hub.url.replace("127.0.0.1", "localhost")
        async with broker_of(upstream_of(hub, way), deadline=2) as broker:
            with pytest.raises(TemporarilyUnavailable):
                await broker.issue(granted())
        assert not hub.heard


async def test_certificates_that_cannot_be_read_are_told(way, certificate, monkeypatch, tmp_path):
    (tmp_path / "none.pem").write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    async with with_tls(way, certificate) as hub:
        assert "SSL_CERT_FILE" in await gets_nothing(hub, way)


# ── settings ────────────────────────────────────────────────────────────────────────────────────

GOOD = {
    "url": "https://hub.example.com",
    "key": KEY,
    "secret": SECRET,
    "private_key": SOMEBODY.to_string(),
}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "http://hub.example.com"}, "url: must be https"),
        ({"url": "hub.example.com:443"}, "url: must start with https://"),
        ({"url": "https://u:p@hub.example.com"}, "url: must have neither user"),
        ({"url": "https://hub.example.com/?x=1"}, "url: must have no query"),
        ({"url": "https://hub.example.com/x", "transport": "grpc"}, "url: must have no path"),
        ({"secret": "balkweop3jflk9f43lkjs9df2jlght94nzlkv93s"}, "secret: must be base32"),
        ({"secret": SECRET[:-1]}, "secret: is cut off"),
        ({"key": "zebra"}, "key: must be base32"),
        ({"key": ""}, "key: is missing"),
        ({"private_key": "no key"}, "private_key: "),
        ({"private_key": SOMEBODY.public.text}, "private_key: "),
        ({"private_key": ""}, "private_key: "),
    ],
)
def test_nonsense_is_refused_when_it_is_read_and_no_secret_is_repeated(wrong, said):
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        TextileHub(**{**GOOD, **wrong})
    for name in ("secret", "private_key"):
        value = {**GOOD, **wrong}[name]
        assert not value or value not in str(caught.value)


@pytest.mark.parametrize(("way", "module"), [("websocket", "websockets"), ("grpc", "grpc")])
def test_an_extra_that_is_missing_is_told_at_the_start(monkeypatch, way, module):
    from tokenward.remote.hub import exchange  # noqa: PLC0415

    monkeypatch.setattr(exchange, "find_spec", lambda name: None if name == module else True)
    with pytest.raises(ValueError, match=rf"url: to ask there, install tokenward\[.*{module}"):
        TextileHub(**GOOD, transport=way)


def test_it_is_in_no_repr():
    upstream = TextileHub(**GOOD)
    assert SECRET not in repr(upstream)
    assert SOMEBODY.to_string() not in repr(upstream)


def test_a_hub_has_no_scopes():
    TextileHub(**GOOD).check_scopes(Scope())
    with pytest.raises(ValueError, match="are not for a Hub"):
        TextileHub(**GOOD).check_scopes(Scope.parse("read"))


def test_the_examples_of_the_how_to_can_be_used_as_they_stand(tmp_path):
    known = {
        "NIGHTLY_SECRET_HASH": hashed("s" * 43),
        "HUB_SECRET": SECRET,
        "HUB_IDENTITY": SOMEBODY.to_string(),
    }
    for name, example in examples("docs/howto/ask-a-textile-hub.md").items():
        path = tmp_path / f"{name}.toml"
        path.write_text(f'store = "sqlite:t.db"\n{example.code}')
        settings = load(path, known)
        upstream = settings.tokens["threads"].upstream
        assert isinstance(upstream, TextileHub)
        assert passes(upstream) is (name == "callers")
        assert not settings.warnings


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        ('private_key = "${HUB_IDENTITY}"', "gave a token for 3"),
        ('signature = "callers"', "was not tried: callers answer its challenges"),
    ],
)
async def test_check_live_asks_once_with_a_key_of_ours(way, tmp_path, signs, said):
    async with WAYS[way]() as hub:
        path = tmp_path / "tokenward.toml"
        path.write_text(
            'issuer = "https://tokens.example.com"\nstore = "sqlite:t.db"\n'
            f'[callers.nightly]\nproof = "client_secret"\nsecrets = ["{hashed("s" * 43)}"]\n'
            f'[tokens.threads]\nupstream = "textile_hub"\nurl = "{hub.url}"\n'
            f'transport = "{way}"\n{signs}\n'
            '[[allow]]\ncaller = "nightly"\ntoken = "threads"\n'
        )
        found = load(path, {"HUB_IDENTITY": SOMEBODY.to_string()})
        async with open_async_client() as http:
            assert (await tried("threads", found, http, deadline=5)).startswith(said)
    assert len(hub.heard) == (said.startswith("gave"))
