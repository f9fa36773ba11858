"""What can be done with registered clients, in every kind of database alike."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from math import inf

import pytest

from tokenward.oauth.messages import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from tokenward.oauth.scope import Scope
from tokenward.server.hashes import Known
from tokenward.server.records.clients import MOST_SECRETS, Client, Clients
from tokenward.server.records.migrating import migrate
from tokenward.server.records.numbering import Refused
from tokenward.server.records.opening import open_engine

BOTH = frozenset({CLIENT_CREDENTIALS, TOKEN_EXCHANGE})
PARTNER = Client(
    id="partner",
    client_name="Pärtner & Söhne",
    contact="ops@partner.example",
    grant_types=BOTH,
    scope=Scope.parse("reports:read reports:write"),
    default="reports",
)


def secret(name="", expires=inf):
    digest = sha256(f"the secret {name}".encode()).hexdigest()
    return Known(hash=f"sha256:{digest}", name=name, expires=expires)


def plain(id):
    return Client(id=id, grant_types=frozenset({CLIENT_CREDENTIALS}))


def test_at_first_there_is_nobody(clients):
    assert clients.all() == []
    assert clients.edition() == (0, ())


def test_what_is_registered_is_what_is_found(clients, clock):
    ends = clock() + 90 * 86_400.25
    added = clients.add(PARTNER, secret("first", ends))
    assert added == clients.get("partner") == clients.all()[0]
    assert replace(added, registered=0.0, secrets=()) == PARTNER
    assert added.registered == clock()
    (kept,) = added.secrets
    assert (kept.known, kept.made) == (secret("first", ends), clock())


def test_what_was_not_said_stays_unsaid(clients):
    added = clients.add(plain("partner"), secret())
    assert (added.scope, added.disabled) == (None, None)
    assert added.secrets[0].known.expires == inf
    assert added.secrets[0].known.name == secret().hash[7:15]
    empty = clients.add(replace(plain("other"), scope=Scope()), secret())
    assert empty.scope == Scope()


def test_all_are_listed_in_the_same_order_whatever_the_language_of_the_database(clients):
    for id in ("b", "B", "a-b", "ab", "a.b", "A"):
        clients.add(plain(id), secret())
    assert [it.id for it in clients.all()] == sorted(["b", "B", "a-b", "ab", "a.b", "A"])


def test_nobody_is_registered_twice(clients):
    clients.add(PARTNER, secret("first"))
    before = clients.all(), clients.edition()
    with pytest.raises(Refused, match="partner is registered already"):
        clients.add(plain("partner"), secret("second"))
    assert (clients.all(), clients.edition()) == before


@pytest.mark.parametrize(
    "asked",
    [
        lambda it: it.get("partner"),
        lambda it: it.able("partner", able=False),
        lambda it: it.able("partner", able=True),
        lambda it: it.remove("partner"),
        lambda it: it.add_secret("partner", secret()),
        lambda it: it.remove_secret("partner", "first"),
        lambda it: it.get("PARTNER' OR 1=1 --"),
    ],
)
def test_nothing_can_be_done_with_a_client_that_is_not_there(clients, asked):
    clients.add(plain("other"), secret())
    before = clients.all(), clients.edition()
    with pytest.raises(Refused, match="no client"):
        asked(clients)
    assert (clients.all(), clients.edition()) == before


def test_a_client_is_disabled_and_enabled_again(clients, clock):
    clients.add(PARTNER, secret("first"))
    clock.now += 60
    disabled = clients.able("partner", able=False)
    assert disabled.disabled == clock() == clients.get("partner").disabled
    assert clients.edition()[1][0].disabled is True
    assert clients.able("partner", able=True).disabled is None
    assert clients.edition()[1][0].disabled is False


def test_doing_what_is_done_makes_no_new_edition(clients):
    clients.add(PARTNER, secret("first"))
    assert clients.able("partner", able=True).disabled is None
    assert clients.edition()[0] == 1


def test_whoever_is_removed_leaves_no_secret_behind(clients):
    clients.add(PARTNER, secret("first"))
    clients.add(plain("other"), secret("theirs"))
    clients.remove("partner")
    assert [it.id for it in clients.all()] == ["other"]
    again = clients.add(PARTNER, secret("second"))
    assert [one.known.name for one in again.secrets] == ["second"]


def test_secrets_come_and_go(clients, clock):
    clients.add(PARTNER, secret("b"))
    clock.now += 60
    both = clients.add_secret("partner", secret("a", clock() + 60))
    assert [(one.known.name, one.made) for one in both.secrets] == [
        ("a", clock()),
        ("b", clock() - 60),
    ]
    left = clients.remove_secret("partner", "b")
    assert [one.known.name for one in left.secrets] == ["a"]
    assert clients.remove_secret("partner", "a").secrets == ()
    assert clients.edition() == (4, (replace(PARTNER, secrets=()).entry(),))


def test_two_secrets_of_a_client_have_two_names(clients):
    clients.add(PARTNER, secret("first"))
    with pytest.raises(Refused, match="has a secret first already"):
        clients.add_secret("partner", secret("first"))
    clients.add(plain("other"), secret("other"))
    assert len(clients.add_secret("other", secret("first")).secrets) == 2


def test_there_are_no_more_secrets_than_are_compared(clients):
    clients.add(PARTNER, secret("0"))
    for number in range(1, MOST_SECRETS):
        clients.add_secret("partner", secret(str(number)))
    with pytest.raises(Refused, match="no more are compared"):
        clients.add_secret("partner", secret("one-more"))
    assert clients.edition()[0] == MOST_SECRETS


def test_a_secret_that_is_not_there_cannot_be_taken_away(clients):
    clients.add(PARTNER, secret("first"))
    with pytest.raises(Refused, match="no secret second; it has: first"):
        clients.remove_secret("partner", "second")
    assert clients.edition()[0] == 1


def test_every_change_makes_an_edition_that_says_it(clients):
    numbers = []
    for change in (
        lambda: clients.add(PARTNER, secret("first")),
        lambda: clients.add_secret("partner", secret("second")),
        lambda: clients.able("partner", able=False),
        lambda: clients.remove_secret("partner", "first"),
        lambda: clients.remove("partner"),
    ):
        change()
        number, entries = clients.edition()
        numbers.append(number)
        assert entries == tuple(it.entry() for it in clients.all())
    assert numbers == [1, 2, 3, 4, 5]


def test_of_many_at_once_every_change_counts_once(lasting, clock):
    engine = open_engine(lasting)
    migrate(engine)
    clients = Clients(engine=engine, clock=clock)

    def add(number):
        try:
            clients.add(plain(f"client-{number % 6}"), secret())
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(add, range(12))) == 6
    number, entries = clients.edition()
    assert (number, len(entries)) == (6, 6)


def test_nothing_that_is_kept_or_shown_of_a_client_shows_its_secrets_hash(clients):
    shown = clients.add(PARTNER, secret("first"))
    assert secret("first").hash not in repr((shown, shown.secrets, shown.entry()))
