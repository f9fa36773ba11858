"""Whoever wants to know of requests hears of each of them once, beside others who want to know."""

import pytest

from tests.world import FILE, hashed
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.audit import Audit
from tokenward.server.http import Received
from tokenward.server.watching import Note, Watch, all_seen, all_tallies

OPENS = "metrics-" + "m" * 40
RECEIVED = Received("POST", "/token", id="0123", address="192.0.2.7")


class Notes(list):
    """One who writes down whatever there is to write."""

    def write(self, note):
        self.append(note)


class Full:
    """A trail on a full disk."""

    async def record(self, event):
        raise TemporarilyUnavailable(detail="disk full")


async def test_what_the_trail_could_not_keep_did_not_end_well():
    notes = Notes()
    watch = Watch(writer=notes)
    watch.begin(RECEIVED)
    with pytest.raises(TemporarilyUnavailable):
        async with Audit(Full(), tally=watch.event).event("token", RECEIVED):
            pass
    watch.seen("/token", "POST", 503, 0.1, "0123")
    (note,) = notes
    assert (note.kind, note.status, note.outcome) == ("token", 503, "server_error")
    assert note.address == "192.0.2.7"


def test_an_event_of_a_request_that_nobody_noted_is_nobodys():
    notes = Notes()
    watch = Watch(writer=notes)
    watch.event(Audit(Full()).event("token", RECEIVED))
    watch.seen("/token", "POST", 200, 0.1, "0123")
    assert notes == [Note(id="0123", route="/token", method="POST", status=200, seconds=0.1)]


def test_a_note_does_not_show_for_whom_it_was():
    assert "ann" not in repr(Note(id="0123", subject="mobile|ann"))


@pytest.mark.parametrize("of", [all_seen, all_tallies])
def test_of_nobody_there_is_nobody_and_of_one_there_is_that_one(of):
    assert of() is None
    assert of(None, None) is None
    assert of(None, print) is print
    assert of(print, None) is print


def test_of_several_each_hears_of_it():
    heard = []
    all_seen(lambda *said: heard.append(("one", *said)), lambda *said: heard.append(said))(
        "/token", "POST", 200, 0.1, "0123"
    )
    all_tallies(lambda event: heard.append(event.kind), heard.append)(
        event := Audit(Full()).event("token", RECEIVED)
    )
    said = ("/token", "POST", 200, 0.1, "0123")
    assert heard == [("one", *said), said, "token", event]


async def test_numbers_and_lines_go_together(worlds, capfd):
    more = f'[metrics]\nsecrets = ["{hashed(OPENS)}"]\n[log]\nrequests = true\n'
    async with worlds(file=FILE.replace("[issuers.main]", f"{more}[issuers.main]")) as world:
        answer = await world.token(audience="reports")
        numbers = await world.http.get("/metrics", headers={"Authorization": f"Bearer {OPENS}"})
    issued = 'tokenward_tokens_issued_total{client="nightly",grant="client_credentials"'
    (line,) = capfd.readouterr().err.splitlines()
    assert answer.headers["x-request-id"] in line
    assert issued in numbers.text
    assert 'route="/token"' in numbers.text
