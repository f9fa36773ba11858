"""Where programs run, as far as identities go: loopback servers that do as the platforms say.

Each of them refuses whoever asks in another way than its documentation has it, and can be told to
misbehave: ``reply`` is what it says instead.
"""

import time
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.client.standin import Asked, Reply, Standin
from tokenward.jose.keys import SigningKey

US = "https://tokens.example.com"
KEY = SigningKey.generate("ES256")


def jwt(audience=US, **claims):
    now = int(time.time())
    said = {"iss": "https://idp.example", "sub": "job-1", "aud": audience, "iat": now}
    return KEY.sign({**said, "exp": now + 300, **claims}, typ="JWT")


def query(asked: Asked) -> dict[str, str]:
    return {name: "".join(it) for name, it in parse_qs(urlsplit(asked.path).query).items()}


class Platform(Standin):
    """One that says what it was told to, or else what it should."""

    def __init__(self) -> None:
        super().__init__()
        self.reply: Reply | None = None
        self.first: Reply | None = None
        self.routes = {"*": self.answer}
        self.token = jwt

    def answer(self, asked: Asked) -> Reply:
        if self.first:
            first, self.first = self.first, None
            return first
        return self.reply or self.good(asked)

    def good(self, asked: Asked) -> Reply:
        raise NotImplementedError


class GitHub(Platform):
    """The token service of Actions; the URL that a job is given has a query of its own."""

    bearer = "the-bearer-of-the-job"

    def environ(self) -> dict[str, str]:
        url = f"{self.url}/_apis/distributedtask/oidctoken?api-version=2.0"
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": url,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.bearer,
        }

    def good(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {self.bearer}":
            return Reply(401, "Unauthorized")
        assert query(asked)["api-version"] == "2.0"
        return Reply(body={"count": 1234, "value": self.token(query(asked)["audience"])})


class Google(Platform):
    """The metadata server of a machine with a service account."""

    def environ(self) -> dict[str, str]:
        return {"GCE_METADATA_HOST": self.url.removeprefix("http://")}

    def good(self, asked: Asked) -> Reply:
        path = "/computeMetadata/v1/instance/service-accounts/default/identity"
        if asked.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in asked.headers:
            return Reply(403, "Missing Metadata-Flavor:Google header.")
        if urlsplit(asked.path).path != path:
            return Reply(404)
        assert query(asked)["format"] == "full"
        headers = {"Metadata-Flavor": "Google", "Content-Type": "text/html"}
        return Reply(body=self.token(query(asked)["audience"]), headers=headers)


class AppService(Platform):
    """The token endpoint beside a program in App Service, Functions or Container Apps."""

    header = "the-header-of-the-app"

    def environ(self) -> dict[str, str]:
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": self.header}

    def good(self, asked: Asked) -> Reply:
        said = query(asked)
        if asked.headers.get("x-identity-header") != self.header:
            return Reply(401, {"statusCode": 401, "message": "no header"})
        assert said["api-version"] == "2019-08-01"
        # What Entra makes names the application, and not the URI that was asked for.
        token = self.token("4711-app", resource=said["resource"], of=said.get("client_id", ""))
        return Reply(
            body={"access_token": token, "expires_on": "1586984735", "token_type": "Bearer"}
        )


class AzureMachine(Platform):
    """The instance metadata service of a virtual machine."""

    def environ(self) -> dict[str, str]:
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.url}

    def good(self, asked: Asked) -> Reply:
        said = query(asked)
        if asked.headers.get("metadata") != "true" or "x-forwarded-for" in asked.headers:
            return Reply(400, {"error": "invalid_request"})
        assert urlsplit(asked.path).path == "/metadata/identity/oauth2/token"
        assert said["api-version"] == "2018-02-01"
        token = self.token("4711-app", resource=said["resource"], of=said.get("client_id", ""))
        return Reply(body={"access_token": token, "expires_in": "3599", "token_type": "Bearer"})


class Aws(Platform):
    """STS, the credentials of a container, and version 2 of the metadata of a machine, in one."""

    keys = ("AKIDEXAMPLE", "the-secret-key", "the-session")
    pass_ = "the-pass-of-the-pod"
    session = "the-token-of-imds"
    role = "nightly-role"
    region = "eu-west-1"

    def environ(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL_STS": self.url}

    def as_function(self) -> dict[str, str]:
        names = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
        return self.environ() | dict(zip(names, self.keys, strict=True)) | self.there()

    def as_pod(self) -> dict[str, str]:
        more = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self.pass_,
        }
        return self.environ() | more | self.there()

    def as_machine(self) -> dict[str, str]:
        return self.environ() | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url}

    def there(self) -> dict[str, str]:
        return {"AWS_REGION": self.region}

    def credentials(self) -> Reply:
        key, secret, session = self.keys
        said = {"AccessKeyId": key, "SecretAccessKey": secret, "Token": session}
        return Reply(body={**said, "Expiration": "2026-11-21T12:00:00Z"})

    def good(self, asked: Asked) -> Reply:
        path = urlsplit(asked.path).path
        if asked.method == "POST":
            return self.sts(asked)
        if path == "/v1/credentials":
            allowed = asked.headers.get("authorization") == self.pass_
            return self.credentials() if allowed else Reply(403)
        if asked.method == "PUT" and path == "/latest/api/token":
            allowed = asked.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "").isdigit()
            return Reply(body=self.session) if allowed else Reply(400)
        if asked.headers.get("x-aws-ec2-metadata-token") != self.session:
            return Reply(401)
        below = path.removeprefix("/latest/meta-data/")
        return {
            "iam/security-credentials/": Reply(body=self.role) if self.role else Reply(404),
            f"iam/security-credentials/{self.role}": self.credentials(),
            "placement/region": Reply(body=self.region),
        }.get(below, Reply(404))

    def sts(self, asked: Asked) -> Reply:
        said = dict(parse_qsl(asked.body.decode()))
        key, _, session = self.keys
        scope = f"/{self.region}/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date"
        authorization = asked.headers["authorization"]
        if f"Credential={key}/" not in authorization or scope not in authorization:
            return Reply(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>")
        if asked.headers.get("x-amz-security-token") != session:
            return Reply(403, "<Error><Code>InvalidClientTokenId</Code></Error>")
        assert (said["Action"], said["Version"]) == ("GetWebIdentityToken", "2011-06-15")
        assert said["SigningAlgorithm"] in ("RS256", "ES384")
        assert 60 <= int(said["DurationSeconds"]) <= 3600
        token = self.token(said["Audience.member.1"])
        return Reply(
            body="<GetWebIdentityTokenResponse><GetWebIdentityTokenResult>"
            f"<WebIdentityToken>{token}</WebIdentityToken>"
            "<Expiration>2026-11-21T12:00:00Z</Expiration>"
            "</GetWebIdentityTokenResult></GetWebIdentityTokenResponse>",
            headers={"Content-Type": "text/xml"},
        )
