// Verifying tokens with npm's libraries, so many at a time, in processor time.
//
//   node verify.mjs ISSUER AUDIENCE TOKENS.json
//
// On standard input: a line of JSON {"who", "alg", "many"}. On standard output: {"us", "many"},
// microseconds of processor time for each token; {"error"} if a token was refused.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import OktaJwtVerifier from "@okta/jwt-verifier";
import { createRemoteJWKSet, jwtVerify } from "jose";

const [issuer, audience, file] = process.argv.slice(2);
const tokens = JSON.parse(readFileSync(file));
const keys = createRemoteJWKSet(new URL(`${issuer}.well-known/jwks.json`));
const okta = new OktaJwtVerifier({
  issuer,
  jwksUri: `${issuer}.well-known/jwks.json`,
  testing: { disableHttpsCheck: true },
});
const verify = {
  jose: (token) => jwtVerify(token, keys, { issuer, audience, requiredClaims: ["exp"] }),
  okta: (token) => okta.verifyAccessToken(token, audience),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { who, alg, many } = JSON.parse(line);
  try {
    const set = tokens[alg];
    await verify[who](set[0]);
    const before = process.cpuUsage();
    for (let at = 0; at < many; at++) await verify[who](set[at % set.length]);
    const { user, system } = process.cpuUsage(before);
    console.log(JSON.stringify({ us: (user + system) / many, many }));
  } catch (problem) {
    console.log(JSON.stringify({ error: String(problem.message) }));
  }
}
