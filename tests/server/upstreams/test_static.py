"""A key that never changes: handed out as it is, with a warning, and never as less than it is."""

import pytest

from tests.server.upstreams.granting import NOW, granted
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import arun, open_async_client
from tokenward.server.broker import Broker
from tokenward.server.seal import Seal
from tokenward.server.sharing import Sharing
from tokenward.server.upstreams.static import Static

KEY = "k3y-of-the-weather-service"


async def test_the_key_is_handed_out_for_as_long_as_callers_are_told_to_keep_it():
    async with open_async_client() as http:
        token = await arun(Static(secret=KEY).flow(granted(), now=NOW), http)
    assert (token.value, token.expires_at, str(token.scope)) == (KEY, NOW + 3_600, "")


async def test_a_broker_hands_it_out_and_renews_its_end():
    now = [NOW]
    async with open_async_client() as http:
        broker = Broker(
            upstream=Static(secret=KEY, lifetime=600.0),
            http=http,
            clock=lambda: now[0],
            ticks=lambda: now[0],
        )
        first = await broker.issue(granted())
        now[0] += 590
        second = await broker.issue(granted())
    assert (first.value, second.value) == (KEY, KEY)
    assert second.expires_at == now[0] + 600


def test_everybody_shares_it_here_and_no_store_ever_sees_it():
    one, another = Static(secret=KEY), Static(secret=KEY)
    key = one.shared_by(granted("a"))
    assert key == another.shared_by(granted("b"))
    sharing = Sharing(
        token="weather", upstream=one, shelf=None, leases=None, seal=Seal.of(bytes(32)), clock=None
    )
    assert sharing.place(key) is None


def test_it_is_in_no_repr():
    assert KEY not in repr(Static(secret=KEY))


@pytest.mark.parametrize("secret", ["", "two words", "line\nbreak", "ключ", "x" * 70_000])
def test_what_no_header_could_carry_is_refused_without_being_repeated(secret):
    with pytest.raises(ValueError, match=r"^secret: must be printable ASCII") as caught:
        Static(secret=secret)
    assert not secret or secret not in str(caught.value)


def test_it_cannot_be_narrowed():
    Static(secret=KEY).check_scopes(Scope())
    with pytest.raises(ValueError, match="cannot be narrowed"):
        Static(secret=KEY).check_scopes(Scope.parse("read"))
