// A client finds the server by its metadata, gets tokens, asks about them and gives them back.
import * as openid from "openid-client";
import { answer, asked, outcome } from "./asking.mjs";

const proofs = {
  client_secret_basic: openid.ClientSecretBasic,
  client_secret_post: openid.ClientSecretPost,
  client_secret_jwt: openid.ClientSecretJwt,
};

// The secret of a client that signs is its private key, as a JWK.
const proof = async (method, secret) =>
  method === "private_key_jwt"
    ? openid.PrivateKeyJwt(
        await crypto.subtle.importKey("jwk", secret, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]),
      )
    : proofs[method](secret);

const client = async ({ id, secret, method }) =>
  openid.discovery(new URL(asked.issuer), id, undefined, await proof(method, secret), {
    algorithm: asked.algorithm,
    execute: [openid.allowInsecureRequests],
  });

const verbs = {
  metadata: (us) => us.serverMetadata(),
  credentials: (us, form) => openid.clientCredentialsGrant(us, form),
  grant: (us, { grant_type, ...form }) => openid.genericGrantRequest(us, grant_type, form),
  introspection: (us, { token }) => openid.tokenIntrospection(us, token),
  revocation: (us, { token }) => openid.tokenRevocation(us, token),
};

// A step is [verb, client, form]; the token "@0" in a form is the one that step 0 brought.
const said = [];
for (const [verb, who, { token, ...form } = {}] of asked.steps) {
  if (token) form.token = token.startsWith("@") ? said[token.slice(1)].value.access_token : token;
  said.push(await outcome(async () => verbs[verb](await client(who), form)));
}
answer(said);
