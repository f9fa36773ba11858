// A service application of the iTwin Platform gets its token, and asks for it again.
import { ServiceAuthorizationClient } from "@itwin/service-authorization";
import { answer, asked, outcome } from "./asking.mjs";

const client = new ServiceAuthorizationClient(asked.configuration);
const first = await outcome(() => client.getAccessToken(asked.headers));
const second = await outcome(() => client.getAccessToken(asked.headers));
answer({
  ...first,
  again: second.value,
  authorized: client.isAuthorized,
  expired: first.value && client.hasExpired,
});
