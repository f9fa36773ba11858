// npm's oidc-provider with the client, the scope and the lifetimes that tokenward is measured with.
//
//   node oidc-provider.mjs PORT SECRET API_SECRET
//
// Access tokens are JWTs of one algorithm for each API, opaque ones for a fourth; everything is kept
// in a Map, which no real server could do. POST /chain begins a chain of refresh tokens.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const [port, secret, apiSecret] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const scope = "reports:read";

const pairs = {
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
};
const keys = Object.entries(pairs).map(([alg, make]) => ({
  ...make().privateKey.export({ format: "jwk" }),
  kid: alg,
  alg: alg === "EdDSA" ? "Ed25519" : alg,
  use: "sig",
}));

const jwt = (alg) => ({
  accessTokenFormat: "jwt",
  jwt: { sign: { alg } },
});
const apis = {
  "https://reports.example.com": jwt("ES256"),
  "https://eddsa.example.com": jwt("Ed25519"),
  "https://rsa.example.com": jwt("RS256"),
  "https://opaque.example.com": { accessTokenFormat: "opaque" },
};

const kept = new Map();
const later = (seconds) => (seconds ? Date.now() + seconds * 1000 : Infinity);
class Kept {
  constructor(model) {
    this.model = model;
  }
  key(id) {
    return `${this.model}:${id}`;
  }
  async upsert(id, payload, expiresIn) {
    kept.set(this.key(id), { payload, until: later(expiresIn) });
  }
  async find(id) {
    const found = kept.get(this.key(id));
    return found && found.until > Date.now() ? found.payload : undefined;
  }
  async consume(id) {
    kept.get(this.key(id)).payload.consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    kept.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of kept) if (payload.grantId === grantId) kept.delete(key);
  }
}

const provider = new Provider(issuer, {
  adapter: Kept,
  jwks: { keys },
  clients: [
    {
      client_id: "service",
      client_secret: secret,
      grant_types: ["client_credentials", "refresh_token", "authorization_code"],
      redirect_uris: ["https://client.example.com/callback"],
      response_types: ["code"],
      id_token_signed_response_alg: "ES256",
    },
    {
      client_id: "api",
      client_secret: apiSecret,
      grant_types: [],
      redirect_uris: [],
      response_types: [],
    },
  ],
  enabledJWA: { idTokenSigningAlgValues: ["ES256", "RS256", "Ed25519"] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "https://reports.example.com",
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope,
        audience: resource,
        accessTokenTTL: 900,
        ...apis[resource],
      }),
    },
  },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  rotateRefreshToken: true,
  scopes: ["openid", "offline_access", scope],
  ttl: { ClientCredentials: 900, AccessToken: 900, IdToken: 900, RefreshToken: 86400, Grant: 86400 },
});

async function chain() {
  const client = await provider.Client.find("service");
  const grant = new provider.Grant({ accountId: "ann", clientId: "service" });
  grant.addOIDCScope("openid offline_access");
  grant.addResourceScope("https://reports.example.com", scope);
  const token = new provider.RefreshToken({
    accountId: "ann",
    authTime: Math.floor(Date.now() / 1000),
    claims: {},
    client,
    expiresWithSession: false,
    grantId: await grant.save(),
    gty: "authorization_code",
    resource: "https://reports.example.com",
    scope: `openid offline_access ${scope}`,
  });
  return token.save();
}

const answer = provider.callback();
createServer(async (request, response) => {
  if (request.url === "/chain") {
    response.end(JSON.stringify({ refresh_token: await chain() }));
  } else {
    answer(request, response);
  }
}).listen(port, "127.0.0.1");
