// A token server such as the iTwin mobile sample has, made of the same libraries.
//
//   node express.mjs PORT ISSUER CLIENT_ID CLIENT_SECRET [quiet]
//
// GET /getToken with a user's token of the issuer answers with a token of the platform. As in the
// sample, the certificate is that of the first key, it is read at every request, audience and key id
// are not looked at, and the user's claims go to the console unless it is to be quiet.
import { ServiceAuthorizationClient } from "@itwin/service-authorization";
import express from "express";
import jsonwebtoken from "jsonwebtoken";

const [port, issuer, clientId, clientSecret, quiet] = process.argv.slice(2);
const platform = new ServiceAuthorizationClient({
  authority: issuer,
  clientId,
  clientSecret,
  scope: "itwin-platform",
});

let certificate;
async function getCertificate() {
  if (certificate === undefined) {
    const { keys } = await (await fetch(`${issuer}.well-known/jwks.json`)).json();
    const lines = keys[0].x5c[0].match(/.{1,64}/g).join("\n");
    certificate = `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
  }
  return certificate;
}

const app = express();
app.use((_, response, next) => {
  response.header("Access-Control-Allow-Origin", "*");
  response.header("Access-Control-Allow-Methods", "POST, GET, OPTIONS");
  response.header("Access-Control-Allow-Headers", "*");
  next();
});
app.get("/getToken", async (request, response) => {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  if (scheme !== "Bearer" || !token) return response.sendStatus(401);
  const expected = { algorithms: ["RS256"], issuer };
  jsonwebtoken.verify(token, await getCertificate(), expected, async (problem, user) => {
    if (problem) return response.sendStatus(403);
    if (!quiet) console.log(user);
    response.send(await platform.getAccessToken());
  });
});
app.listen(port, "127.0.0.1");
