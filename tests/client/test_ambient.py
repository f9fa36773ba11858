"""The identity that a program has where it runs: found, shown to nobody else, or missing."""

import asyncio
import threading
from dataclasses import replace

import pytest

from tests.client.platforms import US, AppService, Aws, AzureMachine, GitHub, Google, jwt
from tests.client.standin import HANG_UP, Reply, Standin, endless
from tokenward.client import TokenError
from tokenward.client.ambient import LONGEST_FILE, Here, NotHere, Place
from tokenward.client.ambient.finding import (
    PLACES,
    aidentity_token,
    fingerprint,
    identity_token,
)
from tokenward.jose.jws import load_object, parse

PROJECTED = "var/run/secrets/tokenward/token"
DEFAULT = "var/run/secrets/kubernetes.io/serviceaccount/token"
DMI = "sys/class/dmi/id"


@pytest.fixture(params=["sync", "async"])
def find(request, tmp_path):
    """Look for an identity, with one driver or the other."""

    def found(environ=None, audience=US, **more):
        here = Here(environ=environ or {}, root=tmp_path)
        if request.param == "sync":
            return identity_token(audience, here=here, **more)
        return asyncio.run(aidentity_token(audience, here=here, **more))

    return found


@pytest.fixture
def lay(tmp_path):
    """Put a text where the system has it."""

    def lay(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        return str(tmp_path / path)

    return lay


def claims(token):
    return load_object(parse(token).payload)


PLATFORMS = {
    "github": (GitHub, "environ"),
    "google": (Google, "environ"),
    "app service": (AppService, "environ"),
    "azure machine": (AzureMachine, "environ"),
    "aws function": (Aws, "as_function"),
    "aws pod": (Aws, "as_pod"),
    "aws machine": (Aws, "as_machine"),
}


@pytest.fixture(params=PLATFORMS.values(), ids=PLATFORMS)
def platform(request):
    kind, how = request.param
    with kind() as platform:
        platform.given = getattr(platform, how)()
        yield platform


def secrets_of(platform):
    names = "bearer", "header", "pass_", "session"
    keys = getattr(platform, "keys", ())[1:]
    return [it for name in names if (it := getattr(platform, name, ""))] + list(keys)


# ── What is found ──────────────────────────────────────────────────────────────────────────────


def test_every_platform_says_who_we_are(find, platform):
    said = claims(find(platform.given))
    assert said["sub"] == "job-1"
    assert US in (said["aud"], said.get("resource"))


def test_a_variable_holds_it(find):
    token = jwt()
    assert find({"TOKENWARD_ID_TOKEN": f" {token}\n"}) == token


def test_a_file_holds_it_and_is_read_anew_each_time(find, lay):
    first, second = jwt(jti="1"), jwt([US, "https://else.example"], jti="2")
    path = lay("svid.jwt", f"{first}\n")
    assert find({"TOKENWARD_ID_TOKEN_FILE": path}) == first
    lay("svid.jwt", second)
    assert find({"TOKENWARD_ID_TOKEN_FILE": path}) == second


@pytest.mark.parametrize("path", [PROJECTED, DEFAULT])
def test_a_pod_has_it_in_a_volume(find, lay, path):
    token = jwt()
    lay(path, token)
    assert find() == token


@pytest.mark.parametrize("name", ["AWS_WEB_IDENTITY_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE"])
def test_the_file_of_a_cloud_will_do_if_it_is_meant_for_us_too(find, lay, name):
    token = jwt(["sts.amazonaws.com", US])
    assert find({name: lay("token", token)}) == token


def test_what_somebody_laid_out_for_us_comes_first(find, lay):
    lay(PROJECTED, jwt(sub="pod"))
    with GitHub() as github:
        environ = github.environ()
        assert claims(find(environ))["sub"] == "job-1"
        path = lay("file", jwt(sub="file"))
        assert claims(find(environ | {"TOKENWARD_ID_TOKEN_FILE": path}))["sub"] == "file"
        environ |= {"TOKENWARD_ID_TOKEN": jwt(sub="variable"), "TOKENWARD_ID_TOKEN_FILE": path}
        assert claims(find(environ))["sub"] == "variable"
        assert len(github.asked) == 1


def test_one_of_several_managed_identities_may_be_named(find):
    for kind in AppService, AzureMachine:
        with kind() as azure:
            said = claims(find(azure.environ() | {"AZURE_CLIENT_ID": "second"}))
            assert said["of"] == "second"


@pytest.mark.parametrize(
    ("path", "text", "host"),
    [
        ("product_name", "Google Compute Engine\n", "169.254.169.254"),
        ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n", "169.254.169.254"),
        ("sys_vendor", "Amazon EC2\n", "169.254.169.254"),
    ],
)
def test_a_machine_knows_whose_it_is(lay, tmp_path, path, text, host):
    lay(f"{DMI}/{path}", text)
    here = Here(environ={}, root=tmp_path)
    begun = [it for place in PLACES if not isinstance(it := place.identity(here, US), NotHere)]
    (conversation,) = begun
    assert next(conversation).url.host == host
    conversation.close()


@pytest.mark.parametrize("name", ["K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET", "GAE_INSTANCE"])
def test_where_google_runs_functions_its_metadata_is_asked_by_its_address(tmp_path, name):
    here = Here(environ={name: "x", "GCE_METADATA_HOST": ""}, root=tmp_path)
    (conversation,) = [
        it for place in PLACES if not isinstance(it := place.identity(here, US), NotHere)
    ]
    assert next(conversation).url.host == "169.254.169.254"
    conversation.close()


def test_a_container_of_ecs_is_asked_at_the_address_of_its_agent(tmp_path):
    environ = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x", "AWS_REGION": "eu-west-1"}
    here = Here(environ=environ, root=tmp_path)
    (conversation,) = [
        it for place in PLACES if not isinstance(it := place.identity(here, US), NotHere)
    ]
    assert str(next(conversation).url) == "http://169.254.170.2/v2/x"
    conversation.close()


def test_the_pass_of_a_pod_may_be_in_a_file(find, lay):
    with Aws() as aws:
        environ = aws.as_pod()
        del environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = lay("pass", aws.pass_)
        assert claims(find(environ))["aud"] == US


def test_sts_is_asked_in_the_region_and_not_for_the_whole_world(tmp_path):
    environ = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    for region, host in [
        ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
    ]:
        here = Here(environ={**environ, "AWS_DEFAULT_REGION": region}, root=tmp_path)
        conversation = PLACES[-1].identity(here, US)
        assert str(next(conversation).url) == f"https://{host}/"
        conversation.close()


# ── What is not there ──────────────────────────────────────────────────────────────────────────


def test_without_any_the_error_names_every_place_and_what_to_do(find):
    with pytest.raises(TokenError) as caught:
        find({"PATH": "/bin", "HOME": "/elsewhere"})
    said = str(caught.value)
    assert f"no identity to show to {US}" in said
    assert len(said.splitlines()) == 1 + len(PLACES)
    assert [place.name for place in PLACES if f"{place.name}: " not in said] == []
    for word in (
        "TOKENWARD_ID_TOKEN is not set",
        "id_tokens: { TOKENWARD_ID_TOKEN: { aud: https://tokens.example.com } }",
        "TOKENWARD_ID_TOKEN_FILE is not set",
        "id-token: write",
        "serviceAccountToken",
        "AWS_WEB_IDENTITY_TOKEN_FILE is not set",
        "AZURE_FEDERATED_TOKEN_FILE is not set",
        "GCE_METADATA_HOST",
        "IDENTITY_ENDPOINT is not set",
        "AWS_ACCESS_KEY_ID",
    ):
        assert word in said
    assert not caught.value.transient


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x.example"},
        {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"},
        {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/"},
        {"IDENTITY_HEADER": "x"},
        {"AWS_ACCESS_KEY_ID": "x"},
        {"AWS_REGION": "eu-west-1"},
        {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        {"GCE_METADATA_HOST": " "},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        {"SPIFFE_ENDPOINT_SOCKET": "unix:///run/spire.sock"},
    ],
)
def test_nobody_is_asked_unless_the_environment_says_that_we_are_there(tmp_path, environ):
    here = Here(environ=environ, root=tmp_path)
    assert all(isinstance(place.identity(here, US), NotHere) for place in PLACES)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("product_name", "Standard PC (Q35 + ICH9, 2009)"),
        ("product_name", "Googleplex"),
        ("sys_vendor", "Microsoft Corporation"),
        ("chassis_asset_tag", "7783"),
        ("sys_vendor", "Amazon"),
    ],
)
def test_another_machine_is_asked_nothing(lay, tmp_path, path, text):
    lay(f"{DMI}/{path}", text)
    here = Here(environ={}, root=tmp_path)
    assert all(isinstance(place.identity(here, US), NotHere) for place in PLACES)


@pytest.mark.parametrize("path", [PROJECTED, DEFAULT])
@pytest.mark.parametrize("audience", ["https://kubernetes.default.svc", [], ["x", "y"], 7, None])
def test_a_token_that_is_meant_for_somebody_else_stays_in_the_pod(find, lay, path, audience):
    token = jwt(audience)
    lay(path, token)
    with pytest.raises(TokenError, match="stays there") as caught:
        find()
    assert token not in str(caught.value)
    if isinstance(audience, str):
        assert audience in str(caught.value)


def test_what_clouds_put_there_for_themselves_stays_there_and_the_search_goes_on(find, lay):
    aws = jwt("sts.amazonaws.com")
    environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": lay("aws", aws)}
    with pytest.raises(TokenError, match=r"meant for 'sts\.amazonaws\.com', so it stays there"):
        find(environ)
    assert find(environ, "sts.amazonaws.com") == aws
    with AppService() as azure:
        assert claims(find(environ | azure.environ()))["resource"] == US


@pytest.mark.parametrize(
    "text", ["", "not.a.token", "opaque", "ey\x00", "é", "x" * (LONGEST_FILE + 1)]
)
@pytest.mark.parametrize("name", ["TOKENWARD_ID_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_a_file_that_was_named_and_holds_no_token_is_an_error(find, lay, name, text):
    with GitHub() as github:
        environ = {name: lay("file", text)} | (github.environ() if name[0] == "T" else {})
        with pytest.raises(TokenError) as caught:
            find(environ)
        assert github.asked == []
    assert str(environ[name]) in str(caught.value)
    assert "opaque" not in str(caught.value)


def test_a_file_that_was_named_and_is_not_there_is_an_error(find, tmp_path):
    for name in "TOKENWARD_ID_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE":
        with pytest.raises(TokenError, match=f"{name} names .*missing"):
            find({name: str(tmp_path / "missing")})
        with pytest.raises(TokenError, match="cannot be read"):
            find({name: str(tmp_path)})


@pytest.mark.parametrize("token", ["opaque", jwt("https://else.example"), "a.b.c", "Bearer x"])
def test_what_was_laid_out_for_us_and_cannot_be_used_is_an_error(find, lay, token):
    lay(PROJECTED, jwt())
    with pytest.raises(TokenError, match="a variable: TOKENWARD_ID_TOKEN holds") as caught:
        find({"TOKENWARD_ID_TOKEN": token})
    assert token not in str(caught.value)


def test_an_audience_is_needed(find):
    with pytest.raises(ValueError, match="needs an audience"):
        find(audience="")


def test_a_job_of_a_fork_is_told_why_it_has_none(find):
    with pytest.raises(TokenError, match="from forks cannot have it"):
        find({"GITHUB_ACTIONS": "true"})


def test_a_workload_of_spiffe_is_told_that_its_socket_is_not_asked(find):
    with pytest.raises(TokenError, match="the socket of the Workload API is not asked"):
        find({"SPIFFE_ENDPOINT_SOCKET": "unix:///run/spire.sock"})


# ── What misbehaves ────────────────────────────────────────────────────────────────────────────

NOES = {
    "refuses": Reply(403, "no: {secret}"),
    "hangs up": HANG_UP,
    "fails": Reply(500, "oops {secret}"),
    "says nothing": Reply(200, ""),
    "says nonsense": Reply(200, "<html>{secret}"),
    "says a list": Reply(200, ["{secret}"]),
    "says an empty object": Reply(200, {}),
    "says null": Reply(200, {"value": None, "access_token": None}),
    "says something opaque": Reply(200, {"value": "opaque", "access_token": "opaque"}),
    "says a number": Reply(200, {"value": 7, "access_token": 7}),
}


@pytest.mark.parametrize("reply", NOES.values(), ids=NOES)
def test_a_platform_that_misbehaves_is_an_error_and_no_other_place_is_tried(
    find, lay, platform, reply
):
    secrets = secrets_of(platform)
    if isinstance(reply.body, str):
        reply = replace(reply, body=reply.body.replace("{secret}", " ".join(secrets)))
    platform.reply = reply
    with pytest.raises(TokenError) as caught:
        find(platform.given)
    said = str(caught.value) + repr(caught.value)
    assert "the identity of " in said
    assert "Looked at" not in said
    assert "oops" not in said
    assert "opaque" not in said
    assert [secret for secret in secrets if secret in said] == []
    assert 1 <= len(platform.asked) <= 2


def test_a_redirect_is_not_followed(find, platform):
    with Standin({"*": Reply(200, {"value": jwt(), "access_token": jwt()})}) as stranger:
        platform.reply = Reply(302, headers={"Location": f"{stranger.url}/"})
        with pytest.raises(TokenError, match="redirect"):
            find(platform.given)
        assert stranger.asked == []


def test_no_proxy_is_asked(find, platform, monkeypatch):
    with Standin({"*": Reply(502)}) as proxy:
        for name in "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY":
            monkeypatch.setenv(name, proxy.url)
        assert find(platform.given)
        assert proxy.asked == []


def test_one_stumble_is_forgiven(find, platform):
    platform.first = Reply(503)
    if "AWS_ACCESS_KEY_ID" in platform.given:  # what was signed is for one time
        with pytest.raises(TokenError) as caught:
            find(platform.given)
        assert caught.value.transient
    else:
        assert find(platform.given)


def test_an_answer_without_end_is_cut(find, platform):
    platform.reply = Reply(200, endless())
    with pytest.raises(TokenError, match="more than"):
        find(platform.given)


def test_nobody_waits_for_long(find, platform):
    """Its answer never ends, and comes a byte at a time: the deadline is for all of it."""

    def drip():
        while True:
            yield b" "
            pause.wait(0.05)

    pause = threading.Event()
    platform.reply = Reply(200, drip())
    places = [replace(place, deadline=0.2) for place in PLACES]
    with pytest.raises(TokenError, match="did not answer in time") as caught:
        find(platform.given, places=places)
    assert caught.value.transient


def test_the_deadlines_are_short():
    assert all(place.deadline <= 10 for place in PLACES)
    assert {place.name: place.deadline for place in PLACES}["Google Cloud"] <= 3


@pytest.mark.parametrize("kind", [GitHub, Google])
@pytest.mark.parametrize("audience", ["https://else.example", [], None])
def test_a_token_for_somebody_else_than_we_asked_for_is_not_taken(find, kind, audience):
    with kind() as platform:
        platform.token = lambda _: jwt(audience)
        with pytest.raises(TokenError, match="meant for"):
            find(platform.environ())


def test_sts_must_not_answer_for_somebody_else_either(find):
    with Aws() as aws:
        aws.token = lambda _: jwt("https://else.example")
        with pytest.raises(TokenError, match="meant for"):
            find(aws.as_function())


def test_whoever_is_not_googles_metadata_server_is_not_believed(find):
    with Google() as google:
        google.reply = Reply(200, jwt())
        with pytest.raises(TokenError, match="not Google's metadata server"):
            find(google.environ())


@pytest.mark.parametrize(
    ("name", "environ"),
    [
        ("GCE_METADATA_HOST", {"GCE_METADATA_HOST": "evil.example"}),
        ("GCE_METADATA_HOST", {"GCE_METADATA_HOST": "8.8.8.8"}),
        ("GCE_METADATA_HOST", {"GCE_METADATA_HOST": "127.0.0.1@evil.example"}),
        ("GCE_METADATA_HOST", {"GCE_METADATA_HOST": "evil.example/169.254.169.254"}),
        (
            "IDENTITY_ENDPOINT",
            {"IDENTITY_ENDPOINT": "http://evil.example", "IDENTITY_HEADER": "hush"},
        ),
        ("IDENTITY_ENDPOINT", {"IDENTITY_ENDPOINT": "http://[", "IDENTITY_HEADER": "hush"}),
        ("AZURE_POD", {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://evil.example"}),
        ("AWS_CONTAINER", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/x"}),
        ("AWS_CONTAINER", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://10.0.0.1/x"}),
        ("AWS_EC2", {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://evil.example"}),
        (
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            {
                "ACTIONS_ID_TOKEN_REQUEST_URL": "http://evil.example",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "hush",
            },
        ),
        (
            "AWS_ENDPOINT_URL_STS",
            {
                "AWS_ENDPOINT_URL_STS": "http://evil.example",
                "AWS_ACCESS_KEY_ID": "x",
                "AWS_SECRET_ACCESS_KEY": "hush",
                "AWS_REGION": "eu-west-1",
            },
        ),
    ],
)
def test_a_variable_cannot_send_what_is_secret_over_the_network_in_the_clear(find, name, environ):
    with pytest.raises(TokenError, match=name) as caught:
        find(environ)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "region", ["", "evil.example/", "EU", "eu", "eu-west-1.evil.example#", "a b"]
)
def test_a_region_is_the_name_of_one(find, region):
    environ = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_REGION": region}
    with pytest.raises(TokenError, match="AWS_REGION is not set, or names no region") as caught:
        find(environ)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("role", ["", "../../user-data", "a b", "x" * 65])
def test_a_machine_without_a_role_says_so(find, role):
    with Aws() as aws:
        aws.role = role
        with pytest.raises(TokenError, match="no role; attach an instance profile"):
            find(aws.as_machine())
        assert len(aws.asked) == 2


def test_a_machine_without_a_service_account_says_so(find):
    with Google() as google:
        google.reply = Reply(404, headers={"Metadata-Flavor": "Google"})
        with pytest.raises(TokenError, match="no service account; attach one"):
            find(google.environ())


def test_what_sts_refuses_it_names(find):
    with Aws() as aws:
        code = "OutboundWebIdentityFederationDisabled"
        body = (
            f"<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>"
        )
        aws.reply = Reply(400, body)
        with pytest.raises(TokenError, match=rf"answered 400 \({code}\)"):
            find(aws.as_function())


def test_azure_says_what_is_wrong_with_the_audience(find):
    with AzureMachine() as azure:
        azure.reply = Reply(400, {"error": "invalid_resource", "error_description": "AADSTS500011"})
        with pytest.raises(TokenError, match="invalid_resource") as caught:
            find(azure.environ())
        assert "AADSTS" not in str(caught.value)


# ── What is known before anybody is asked ──────────────────────────────────────────────────────


def test_nothing_secret_is_in_a_repr(platform, tmp_path):
    said = repr(Here(environ=platform.given, root=tmp_path)) + repr(PLACES)
    assert [secret for secret in secrets_of(platform) if secret in said] == []


def test_another_identity_has_another_fingerprint(lay, tmp_path):
    def of(**environ):
        return fingerprint(Here(environ=environ, root=tmp_path))

    file = lay("token", "one")
    seen = [
        of(),
        of(TOKENWARD_ID_TOKEN="a"),
        of(TOKENWARD_ID_TOKEN="b"),
        of(ACTIONS_ID_TOKEN_REQUEST_TOKEN="a"),
        of(TOKENWARD_ID_TOKEN_FILE=file),
        of(AZURE_CLIENT_ID="a"),
        of(AWS_ACCESS_KEY_ID="a"),
    ]
    lay("token", "two")
    seen.append(of(TOKENWARD_ID_TOKEN_FILE=file))
    lay(PROJECTED, "pod")
    seen.append(of())
    assert len(set(seen)) == len(seen)
    assert of(PATH="/bin") == of(HOME="/elsewhere")


def test_a_place_of_ones_own_is_a_function(find):
    def badge(here, audience):
        return here.variable("BADGE") or NotHere(why="no badge", remedy="get one")

    places = [Place(name="the door", identity=badge)]
    assert find({"BADGE": "it"}, places=places) == "it"
    with pytest.raises(TokenError, match=r"the door: no badge \(get one\)"):
        find(places=places)
