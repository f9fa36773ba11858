// A service that was shown tokens asks the iTwin Platform's client about each of them.
import { IntrospectionClient } from "@itwin/service-authorization";
import { answer, asked, outcome } from "./asking.mjs";

const client = new IntrospectionClient({ issuerUrl: asked.issuer });
const said = {};
for (const [name, token] of Object.entries(asked.tokens)) {
  said[name] = await outcome(() => client.introspect(`Bearer ${token}`));
}
answer(said);
