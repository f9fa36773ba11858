"""SIGHUP: the configuration is read anew, and nobody who asks for a token notices."""

import json
import signal
import socket
import ssl

import pytest

from tests.cli.processes import Load, Served, certified

CA = certified("A root of ours", ca=True)


@pytest.fixture
def served(tmp_path):
    with Served(folder=tmp_path) as made:
        yield made


def scope_of(served):
    return json.loads(served.ask()[1])["scope"]


@pytest.mark.parametrize("workers", [1, 2])
def test_five_times_under_load_and_once_in_vain_nobody_notices(served, workers):
    served.listen = f"workers = {workers}"
    served.start()
    with Load(served) as load:
        load.more(20)
        for number in range(5):
            served.write(scope="reports:write" if number % 2 else "reports:read")
            assert "the configuration was read anew" in served.reload()
            load.more(20)
        file = served.folder / "tokenward.toml"
        file.write_text(file.read_text().replace("proof ", "prof "))
        said = served.reload()
        load.more(20)
    assert set(load.heard) == {200}, load.heard
    assert "the configuration stays as it was" in said
    assert said.count("error: ") >= 2
    assert served.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_file_says_counts_from_then_on(served, workers):
    served.listen = f"workers = {workers}"
    served.start()
    assert scope_of(served) == "reports:read"
    served.write(scope="reports:write")
    assert served.reload() == "tokenward: the configuration was read anew\n"
    served.until(lambda: {scope_of(served) for _ in range(8)} == {"reports:write"})
    if workers > 1:  # one that is started later knows it, too
        for worker in served.workers():
            served.kill(worker)
        assert {scope_of(served) for _ in range(8)} == {"reports:write"}
    assert served.stop() == 0


def test_a_connection_that_is_kept_hears_of_it(served):
    served.start()
    connection = served.connection()
    assert b"reports:read" in served.ask(connection=connection)[1]
    served.write(scope="reports:write")
    served.reload()
    assert b"reports:write" in served.ask(connection=connection)[1]
    connection.close()
    assert served.stop() == 0


def test_what_is_under_way_ends_as_it_began(served):
    served.start()
    body = b"grant_type=client_credentials&client_id=nightly&client_secret=wrong"
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as half:
        head = b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(body)
        half.sendall(head + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + body[:9])
        served.reload()
        half.sendall(body[9:])
        assert half.recv(65536).startswith(b"HTTP/1.1 401")
    assert served.stop() == 0


def test_memory_is_not_forgotten(served):
    served.write()
    file = served.folder / "tokenward.toml"
    file.write_text(file.read_text().replace("sqlite:kept.db", "memory:"))
    served.start()
    token = json.loads(served.ask()[1])["access_token"]
    keys = jwks(served)
    served.reload()
    assert jwks(served) == keys
    status, body = served.ask("/introspect", client_id="reports-api", token=token)
    assert (status, json.loads(body)["active"]) == (200, True)
    assert served.stop() == 0


def jwks(served):
    connection = served.connection()
    connection.request("GET", "/jwks")
    body = connection.getresponse().read()
    connection.close()
    return body


def test_what_has_to_wait_for_a_restart_is_said(served):
    served.start()
    served.write(listen='workers = 2\ndrain = "3s"')
    file = served.folder / "tokenward.toml"
    file.write_text(file.read_text().replace("sqlite:kept.db", "sqlite:another.db"))
    said = served.reload()
    assert "these stay: store, listen.workers, listen.drain" in said
    assert "the configuration was read anew" in said
    assert not (served.folder / "another.db").exists()
    assert served.ask()[0] == 200
    assert served.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_certificate_is_changed_and_connections_stay(served, workers):
    certified("127.0.0.1", CA).write(served.folder, "ours")
    served.scheme, served.tls = "https", ssl.create_default_context(cadata=CA.pem.decode())
    served.tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    served.listen = f'workers = {workers}\ntls_certificate = "ours.pem"\ntls_key = "ours.key"'
    served.start()
    connection = served.connection()
    assert served.ask(connection=connection)[0] == 200
    before = shown(served)
    renewed = certified("127.0.0.1", CA)
    renewed.write(served.folder, "ours")
    served.reload()
    served.until(lambda: {shown(served) for _ in range(8)} == {renewed.pem.decode()})
    assert before != renewed.pem.decode()
    assert served.ask(connection=connection)[0] == 200
    (served.folder / "ours.pem").write_text("nonsense")
    assert "the configuration stays as it was" in served.reload()
    assert shown(served) == renewed.pem.decode()
    connection.close()
    assert served.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_who_is_believed_no_longer_is_not_heard_on_an_old_connection(served, workers):
    certified("127.0.0.1", CA).write(served.folder, "ours")
    friend = certified("a friend", CA).write(served.folder, "friend")
    (served.folder / "believed.pem").write_bytes(CA.pem)
    served.scheme, served.tls = "https", ssl.create_default_context(cadata=CA.pem.decode())
    served.tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    served.listen = (
        f'workers = {workers}\ntls_certificate = "ours.pem"\ntls_key = "ours.key"\n'
        'tls_client_certificates = "optional"\ntls_client_ca = "believed.pem"'
    )
    served.start()
    anybody, known = served.connection(), served.connection()
    assert served.ask(connection=anybody)[0] == 200
    served.tls.load_cert_chain(*friend)
    assert served.ask(connection=known)[0] == 200
    (served.folder / "believed.pem").write_bytes(certified("Another root", ca=True).pem)
    served.reload()
    known.sock.settimeout(3)
    assert known.sock.recv(1) == b"", "it is closed"
    assert served.ask(connection=anybody)[0] == 200
    for connection in (anybody, known):
        connection.close()
    assert served.stop() == 0


def shown(served):
    """The certificate that somebody new is shown."""
    with (
        socket.create_connection(("127.0.0.1", served.port)) as plain,
        served.tls.wrap_socket(plain, server_hostname="127.0.0.1") as spoken,
    ):
        return ssl.DER_cert_to_PEM_cert(spoken.getpeercert(binary_form=True))


def test_systemd_hears_when_it_begins_and_when_it_is_done(served):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(served.folder / "notify"))
        systemd.settimeout(10)
        served.start(NOTIFY_SOCKET=str(served.folder / "notify"))
        assert systemd.recv(100) == b"READY=1"
        served.signal(signal.SIGHUP)
        assert systemd.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert systemd.recv(100) == b"READY=1"
    assert served.stop() == 0
