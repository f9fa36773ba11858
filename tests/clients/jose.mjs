// Somebody with a JWKS and nothing else is shown tokens.
import { createRemoteJWKSet, jwtVerify } from "jose";
import { answer, asked, outcome } from "./asking.mjs";

const said = {};
for (const [name, { token, jwks, expected }] of Object.entries(asked)) {
  said[name] = await outcome(async () => {
    const keys = createRemoteJWKSet(new URL(jwks));
    const { payload, protectedHeader } = await jwtVerify(token, keys, expected);
    return { ...payload, header: protectedHeader };
  });
}
answer(said);
