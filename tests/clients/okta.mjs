// An API protected by Okta's verifier is shown tokens, with these expectations of each.
import OktaJwtVerifier from "@okta/jwt-verifier";
import { answer, asked, outcome } from "./asking.mjs";

const said = {};
for (const [name, { token, issuer, audience, assertClaims }] of Object.entries(asked)) {
  said[name] = await outcome(async () => {
    const testing = { disableHttpsCheck: true };
    const verifier = new OktaJwtVerifier({ issuer, assertClaims, testing });
    return (await verifier.verifyAccessToken(token, audience)).claims;
  });
}
answer(said);
