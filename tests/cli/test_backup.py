"""``tokenward backup`` and ``tokenward restore``: beside a server that runs, and between two."""

import asyncio
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from http.client import HTTPConnection

import pytest

from tests.cli.processes import Load, Served
from tests.dev import command
from tests.docs import examples
from tokenward.clock import now
from tokenward.server.keyring import KeyRing
from tokenward.server.seal import Seal
from tokenward.server.stores import Theft, Unknown, open_store
from tokenward.server.stores.sqlite import copies

MOMENT = "tokenward_backup"


# ── beside a server ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def served(tmp_path):
    (tmp_path / "first").mkdir()
    with Served(folder=tmp_path / "first") as made:
        yield made


def token(served):
    return json.loads(served.ask()[1])["access_token"]


def active(served, token):
    status, body = served.ask("/introspect", client_id="reports-api", token=token)
    assert status == 200
    return json.loads(body)["active"]


def public_keys(served):
    with closing(HTTPConnection("127.0.0.1", served.port, timeout=20)) as connection:
        connection.request("GET", "/.well-known/jwks.json")
        return json.loads(connection.getresponse().read())["keys"]


class Revoking:
    """Somebody who gets tokens and revokes them all the time: each is a write."""

    def __init__(self, served):
        self.revoked, self.failed = [], []
        self._served, self._over = served, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(30)

    def _run(self):
        while not self._over.is_set():
            one = token(self._served)
            status, said = self._served.ask("/revoke", token=one)
            if status == 200:
                self.revoked.append(one)
            else:
                self.failed.append((status, said))


def test_r25_a_backup_under_load_disturbs_nobody_and_knows_afterwards_what_was_known_then(
    served, tmp_path
):
    copy = str(tmp_path / "copy.backup")
    served.start()
    keys = public_keys(served)
    good, revoked = token(served), token(served)
    assert served.ask("/revoke", token=revoked)[0] == 200
    with Load(served) as load, Revoking(served) as revoking:
        load.more(20)
        served.until(lambda: revoking.revoked)
        before = list(revoking.revoked)
        said = command("backup", "--json", copy, cwd=served.folder)
        refused = command("restore", copy, cwd=served.folder)
        load.more(20)
    assert said.code == 0, said.out
    assert refused.code == 1
    assert "Stop the server first" in refused.err
    assert set(load.heard) == {200}, load.heard
    assert revoking.failed == []
    assert len(revoking.revoked) > len(before), "nothing was written in the meantime"
    later = token(served)
    assert served.ask("/revoke", token=good)[0] == 200
    served.process.kill()  # not even this keeps a backup from being restored
    served.process.wait()
    assert (served.folder / "kept.db-wal").exists(), "it was to end without tidying up"

    restored = command("restore", "--json", copy, cwd=served.folder)
    assert restored.code == 0, restored.out
    assert restored.json["configuration_changed"] is False
    assert not (served.folder / "kept.db-wal").exists()
    with closing(sqlite3.connect(served.folder / restored.json["kept_aside"])) as db:
        assert db.execute("SELECT count(*) FROM shelf WHERE key LIKE 'ring/%'").fetchone() == (1,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    served.start()
    assert active(served, good), "it was when the backup was made"
    assert active(served, later), "the same keys sign"
    assert active(served, token(served))
    assert not active(served, revoked)
    assert [one for one in before if active(served, one)] == []
    assert public_keys(served) == keys
    assert served.stop() == 0


# ── without one ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(here):
    """A folder in which a server has kept something."""
    Served(folder=here, port=8080).write()
    asyncio.run(keeping(here))
    return here


async def keeping(folder, kid=None):
    """Keep a signing key, and three families of refresh tokens of which one is revoked."""
    store = open_store(f"sqlite://{folder}/kept.db", now)
    await store.open()
    ring = await KeyRing(shelf=store.shelf, seal=Seal.from_file(folder / "kept.db.key")).ring(
        "main", "ES256"
    )
    for family in ("alive", "revoked", "spent"):
        await store.chains.begin(family, f"{family}-1", b"grant", until=None)
    await store.chains.revoke("revoked")
    await store.chains.rotate("spent-1", "spent-2", b"grant", b"answer", until=None, grace=0)
    await store.close()
    return ring.keys[0].kid


async def looked(folder):
    """What is kept there now: the key that signs, and what becomes of each refresh token."""
    store = open_store(f"sqlite://{folder}/kept.db", now)
    await store.open()
    rings = KeyRing(shelf=store.shelf, seal=Seal.from_file(folder / "kept.db.key"))
    ring = await rings.ring("main", "ES256")
    alive = await store.chains.look("alive-1")
    revoked = await store.chains.rotate("revoked-1", "x", b"", b"", until=None, grace=0)
    spent = await store.chains.rotate("spent-1", "y", b"", b"", until=None, grace=0)
    await store.close()
    return ring.keys[0].kid, alive, type(revoked), type(spent)


def files(folder):
    """All there is, byte for byte."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_grants_that_lived_live_and_those_that_were_revoked_or_spent_do_not(run, folder):
    kid = asyncio.run(looked(folder))[0]
    (folder / "kept.db").unlink()
    asyncio.run(keeping(folder))
    assert run("backup", "then.backup").code == 0
    kid = asyncio.run(looked(folder))[0]  # and a theft is found, which revokes a family
    assert run("restore", "then.backup").code == 0
    assert asyncio.run(looked(folder)) == (kid, b"grant", Unknown, Theft)


def test_everything_in_one_file_is_for_its_owner_alone_and_enough_for_another_machine(run, folder):
    kid = asyncio.run(looked(folder))[0]
    key = (folder / "kept.db.key").read_bytes()
    ended = run("backup", "--with-key", "all.backup")
    assert ended.code == 0
    assert "whoever has this file can mint tokens" in ended.err
    assert key.decode().strip() not in ended.out + ended.err
    assert key in (folder / "all.backup").read_bytes()
    for name in ("kept.db", "kept.db.key"):
        (folder / name).unlink()
    ended = run("restore", "--json", "all.backup")
    assert ended.code == 0, ended.out
    assert ended.json["key_written"] == "kept.db.key"
    assert ended.json["kept_aside"] is None
    for name in ("all.backup", "kept.db", "kept.db.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name
    assert (folder / "kept.db.key").read_bytes() == key
    assert key.strip() not in (folder / "kept.db").read_bytes(), "the key lies beside what it seals"
    with closing(sqlite3.connect(folder / "kept.db")) as db:
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (MOMENT,)).fetchall()
    assert asyncio.run(looked(folder))[0] == kid


def test_a_key_that_is_in_a_variable_comes_along_when_it_is_asked_for(run, folder, monkeypatch):
    text = (folder / "kept.db.key").read_text().strip()
    (folder / "kept.db.key").unlink()
    file = folder / "tokenward.toml"
    file.write_text('encryption_key = "${SEALING}"\n' + file.read_text())
    monkeypatch.setenv("SEALING", text)
    assert run("backup", "without.backup").code == 0
    assert run("backup", "--with-key", "with.backup").code == 0
    assert text.encode() not in (folder / "without.backup").read_bytes()
    assert text.encode() in (folder / "with.backup").read_bytes()
    assert run("restore", "without.backup").code == 0
    monkeypatch.setenv("SEALING", "A" * 43)
    ended = run("restore", "with.backup")
    assert ended.code == 1
    assert "encryption_key does not open its signing keys" in ended.err
    assert text not in ended.err


def test_a_backup_says_of_which_configuration_it_is(run, folder):
    said = run("backup", "--json", "a.backup").json
    digest = subprocess.run(
        ["/usr/bin/env", "sha256sum", "tokenward.toml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[0]
    assert said["configuration"] == {"sha256": digest}
    assert said["with_key"] is False
    assert said["bytes"] == (folder / "a.backup").stat().st_size
    (folder / "tokenward.toml").write_text((folder / "tokenward.toml").read_text() + "# more\n")
    ended = run("restore", "a.backup")
    assert ended.code == 0
    assert f"not the one of then (sha256:{digest})" in ended.err


def test_an_older_backup_is_replaced_only_if_that_is_said(run, folder):
    assert run("backup", "a.backup").code == 0
    before = (folder / "a.backup").read_bytes()
    ended = run("backup", "a.backup")
    assert ended.code == 1
    assert "--force" in ended.err
    assert (folder / "a.backup").read_bytes() == before
    assert run("backup", "--force", "a.backup").code == 0
    assert (folder / "a.backup").read_bytes() != before


@pytest.mark.parametrize(
    "name",
    [
        *("tokenward.toml", "kept.db", "kept.db.key", "kept.db-wal", "text", "theirs.db", "sub"),
        *("linked/kept.db", "linked/kept.db-wal", "linked/kept.db.key", "dangling", "no/such/one"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_whatever_is_no_backup_is_never_overwritten(run, folder, name, there):
    (folder / "text").write_text("somebody's")
    (folder / "sub").mkdir()
    (folder / "linked").symlink_to(folder)
    (folder / "dangling").symlink_to(folder / "nowhere")
    with closing(sqlite3.connect(folder / "theirs.db")) as db:
        db.execute("CREATE TABLE theirs (x)")
    if not there:  # a name that the server will want is no name for a backup either
        asides = [folder / it for it in ("text", "theirs.db", "kept.db.key", "dangling")]
        for path in asides:
            path.unlink()
    before = files(folder)
    taken = there or name not in ("text", "theirs.db", "dangling")
    ended = run("backup", "--force", name)
    assert ended.code == (1 if taken else 0), ended.err
    assert all(files(folder)[it] == data for it, data in before.items())
    assert not taken or files(folder) == before
    assert (folder / "dangling").is_symlink() == there


def test_registered_clients_are_in_the_copy_and_those_that_were_removed_since_are_back(run, folder):
    assert run("clients", "add", "partner").code == 0
    assert run("backup", "a.backup").code == 0
    assert run("clients", "remove", "partner").code == 0
    assert run("clients", "add", "later").code == 0
    assert run("restore", "a.backup").code == 0
    assert [it["id"] for it in run("clients", "list", "--json").json["clients"]] == ["partner"]


@pytest.mark.parametrize("what", ["nothing", "empty", "damaged", "newer", "text"])
def test_what_cannot_be_copied_leaves_nothing_behind(run, folder, what):
    store = folder / "kept.db"
    match what:
        case "nothing":
            store.unlink()
        case "empty":
            store.write_bytes(b"")
        case "text":
            store.write_text("not a database, " * 300)
        case "damaged":
            scratched(store, 2)
        case "newer":
            with closing(sqlite3.connect(store)) as db:
                db.execute("PRAGMA user_version = 99")
    before = files(folder)
    ended = run("backup", "--json", "a.backup")
    assert ended.code == 1
    assert ended.json["ok"] is False
    assert "kept.db" in ended.json["error"]
    assert files(folder) == before


def scratched(path, page):
    """Write nonsense over a page of 4096 bytes."""
    data = bytearray(path.read_bytes())
    assert len(data) >= 4096 * (page + 1)
    data[4096 * page : 4096 * (page + 1)] = b"\xa5" * 4096
    path.write_bytes(data)


def spoil_nothing(copy, _):
    copy.unlink()


def spoil_text(copy, _):
    copy.write_text("not a database, " * 300)


def spoil_empty(copy, _):
    copy.write_bytes(b"")


def spoil_folder(copy, _):
    copy.unlink()
    copy.mkdir()


def spoil_half(copy, _):
    copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])


def spoil_page(copy, _):
    scratched(copy, 2)


def spoil_byte(copy, _):
    data = copy.read_bytes()
    assert data.count(b"alive-1alivegrant") == 1, "SQLite keeps what belongs together together"
    copy.write_bytes(data.replace(b"alive-1alivegrant", b"alive-1alivegrand"))


def spoil_row(copy, _):
    with closing(sqlite3.connect(copy)) as db:
        db.execute("DELETE FROM chains WHERE key = 'spent-1'")
        db.commit()


def spoil_schema(copy, _):
    with closing(sqlite3.connect(copy)) as db:
        db.execute("CREATE TABLE more (x)")


def spoil_label(copy, _):
    with closing(sqlite3.connect(copy)) as db:
        db.execute("DELETE FROM tokenward_backup")
        db.commit()


def spoil_version(copy, _):
    with closing(sqlite3.connect(copy)) as db:
        db.execute("PRAGMA user_version = 99")


def spoil_no_version(copy, _):
    with closing(sqlite3.connect(copy)) as db:
        db.execute("PRAGMA user_version = 0")


def spoil_records(copy, _):
    with closing(sqlite3.connect(copy)) as db:  # as the whole of a later version's backup
        db.execute("CREATE TABLE IF NOT EXISTS tokenward_records (version_num TEXT)")
        db.execute("DELETE FROM tokenward_records")
        db.execute("INSERT INTO tokenward_records VALUES ('9999')")
        db.execute("UPDATE tokenward_backup SET digest = ?", (copies._digest(db),))
        db.commit()


def spoil_store(copy, folder):
    shutil.copy(folder / "kept.db", copy)


def spoil_theirs(copy, _):
    copy.unlink()
    with closing(sqlite3.connect(copy)) as db:
        db.execute("CREATE TABLE theirs (x)")


def spoil_key(_, folder):
    (folder / "kept.db.key").write_text("A" * 43)


def spoil_key_gone(_, folder):
    (folder / "kept.db.key").unlink()


def spoil_key_text(_, folder):
    (folder / "kept.db.key").write_text("my dog's name")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_nothing, "there is no file"),
        (spoil_folder, "there is no file"),
        (spoil_text, "is not a SQLite database"),
        (spoil_empty, "is no backup"),
        (spoil_half, ""),
        (spoil_page, ""),
        (spoil_byte, "is damaged"),
        (spoil_row, "is damaged"),
        (spoil_schema, "is damaged"),
        (spoil_label, "is damaged"),
        (spoil_version, "written by a newer tokenward"),
        (spoil_no_version, "is damaged"),
        (spoil_records, "the records were written by a newer tokenward"),
        (spoil_store, "is no backup"),
        (spoil_theirs, "is no backup"),
        (spoil_key, "kept.db.key does not open its signing keys"),
        (spoil_key_gone, "put that into kept.db.key"),
        (spoil_key_text, "holds something else than encryption keys"),
    ],
)
def test_what_is_no_whole_backup_or_has_no_key_is_not_restored(run, folder, spoil, says):
    assert run("backup", "a.backup").code == 0
    spoil(folder / "a.backup", folder)
    before = files(folder)
    ended = run("restore", "--json", "a.backup")
    assert ended.code == 1
    assert ended.json["ok"] is False
    assert says in ended.json["error"]
    assert files(folder) == before


def test_the_key_of_a_backup_takes_no_other_keys_place(run, folder):
    assert run("backup", "--with-key", "a.backup").code == 0
    spoil_key(None, folder)
    before = files(folder)
    ended = run("restore", "a.backup")
    assert ended.code == 1
    assert "it has its own: move kept.db.key away" in ended.err
    assert files(folder) == before


@pytest.mark.parametrize("how", ["text", "page", "gone"])
def test_a_store_that_is_beyond_reading_is_kept_aside_like_any_other(run, folder, how):
    assert run("backup", "a.backup").code == 0
    store = folder / "kept.db"
    match how:
        case "text":
            store.write_text("not a database, " * 300)
        case "page":
            scratched(store, 2)
        case "gone":
            store.unlink()
    (folder / "kept.db-wal").write_bytes(b"what a crash left")
    was = store.read_bytes() if store.exists() else None
    ended = run("restore", "--json", "a.backup")
    assert ended.code == 0, ended.out
    assert not (folder / "kept.db-wal").exists()
    aside = ended.json["kept_aside"]
    assert (aside is None) == (how == "gone")
    assert aside is None or (folder / aside).read_bytes()[4096:] == was[4096:]
    assert asyncio.run(looked(folder))[1] == b"grant"


HOLDER = """
import sqlite3, sys
db = sqlite3.connect("kept.db", isolation_level=None)
assert db.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
db.execute("SELECT * FROM shelf").fetchall()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_a_store_that_a_process_has_open_is_left_alone_even_if_it_is_damaged(run, folder, damaged):
    assert run("backup", "--with-key", "a.backup").code == 0
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "open\n"
        if damaged:
            with (folder / "kept.db").open("r+b") as file:
                file.write(b"nonsense" * 64)
        (folder / "kept.db.key").unlink()
        before = files(folder)
        ended = run("restore", "a.backup")
        assert ended.code == 1
        assert "a process has" in ended.err
        assert "Stop the server first" in ended.err
        assert files(folder) == before
    assert run("restore", "a.backup").code == 0


async def test_a_copy_is_of_one_moment_however_much_is_written_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_PAGES", 1)
    path = tmp_path / "kept.db"
    store = open_store(f"sqlite://{path}", now)
    await store.open()
    for number in range(200):
        await store.shelf.put(f"ballast-{number}", bytes(4000), until=None)
    await store.chains.begin("family", "link-0", b"", until=None)
    over, spun = asyncio.Event(), 0

    async def spin():
        nonlocal spun
        while not over.is_set():
            old, spun = spun, spun + 1
            await store.chains.rotate(f"link-{old}", f"link-{spun}", b"", b"", until=None, grace=0)

    spinning = asyncio.create_task(spin())
    label = copies.Label(made=0.0, version="0", configuration="")
    for number in range(5):
        before = spun
        await asyncio.to_thread(copies.take, path, tmp_path / f"{number}.backup", label)
        assert spun > before, "nothing was written meanwhile"
        with copies.opened(tmp_path / f"{number}.backup") as backup:
            rows = backup.db.execute("SELECT count(*), sum(spent IS NULL) FROM chains").fetchone()
        assert rows[1] == 1, "a link was spent, and its successor is missing"
        assert before < rows[0] <= spun + 1
    over.set()
    await spinning
    await store.close()


def test_root_restores_for_the_user_whose_store_it_was(run, folder):
    assert run("backup", "--with-key", "a.backup").code == 0
    root = os.geteuid() == 0
    whose = 54_321 if root else os.geteuid()
    (folder / "kept.db.key").unlink()
    if root:
        os.chown(folder / "kept.db", whose, -1)
        os.chown(folder, whose, -1)
    assert run("restore", "a.backup").code == 0
    for name in ("kept.db", "kept.db.key"):
        assert (folder / name).stat().st_uid == whose, name


def test_what_the_page_about_it_says_is_so(run, folder):
    page = examples("docs/howto/back-up.md")
    assert set(page) == {"backup", "restore", "try", "dump", "undump"}
    monday = {"/var/backups/tokenward/monday.backup": "monday.backup"}
    kid = asyncio.run(looked(folder))[0]
    for name in ("backup", "restore", "try"):
        for line in page[name].text(monday).splitlines():
            program, *arguments = line.split()
            ended = run(*arguments)
            assert (program, ended.code) == ("tokenward", 0), ended.err
            (folder / "kept.db").unlink()  # each begins where there is nothing
            if name != "try":
                continue
            assert run("restore", "monday.backup").code == 0
    assert kid in ended.out


@pytest.mark.parametrize("verb", ["backup", "restore"])
@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("postgresql://u:hidden@127.0.0.1/nowhere", {"backup": "pg_dump", "restore": "pg_restore"}),
        ("memory:", {"backup": "nowhere else", "restore": "nowhere else"}),
    ],
)
def test_where_there_is_no_file_it_says_what_to_do(run, folder, verb, store, said):
    file = folder / "tokenward.toml"
    key = f'encryption_key = "{"A" * 43}"'
    file.write_text(file.read_text().replace('"sqlite:kept.db"', f'"{store}"\n{key}'))
    before = files(folder)
    ended = run(verb, "copy.backup")
    assert ended.code == 1
    assert said[verb] in ended.err
    assert "hidden" not in ended.err
    assert files(folder) == before
