// Textile's own clients, today's and those of 2020, ask a hub for tokens.
import { createRequire } from "node:module";
import { answer, asked, outcome } from "./asking.mjs";

const require = createRequire(import.meta.url);
const { Client, PrivateKey, createAPISig, createUserAuth } = require("@textile/hub");
const { Client: OldClient } = require("@textile/threads-client");
const { Provider } = require("@textile/context");
const { Libp2pCryptoIdentity } = require("@textile/threads-core");

// What the applications of 2020 began with; a browser has its own, and node by now, too.
if (asked.socket !== "native") globalThis.WebSocket = require("isomorphic-ws");

const soon = (seconds) => new Date(Date.now() + 1000 * seconds);
const after = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

const verbs = {
  // The client of today, which has the secret.
  async keyInfo({ key, secret, host, identity }) {
    const client = await Client.withKeyInfo({ key, secret }, host);
    return client.getToken(PrivateKey.fromString(identity));
  },

  // Somebody else has the private key, and is shown the challenge.
  async challenge({ key, secret, host, identity, sign = "right" }) {
    const client = await Client.withKeyInfo({ key, secret }, host);
    const mine = PrivateKey.fromString(identity);
    const shown = [];
    const token = await client.getTokenChallenge(mine.public.toString(), async (challenge) => {
      shown.push(challenge.length);
      if (sign === "fails") throw new Error("the person has closed the window");
      return mine.sign(sign === "right" ? challenge : challenge.reverse());
    });
    return { token, shown };
  },

  // A page, whose server has the secret and is asked again once what it gave has expired.
  async userAuth({ key, secret, host, identity, seconds }) {
    let calls = 0;
    const client = Client.withUserAuth(async () => {
      calls += 1;
      return createUserAuth(key, secret, soon(seconds));
    }, host);
    const mine = PrivateKey.fromString(identity);
    const tokens = [await client.getToken(mine), await client.getToken(mine)];
    const before = calls;
    await after(seconds);
    tokens.push(await client.getToken(mine));
    return { tokens, before, calls };
  },

  // What a server has signed, passed on as it is.
  async signed({ key, secret, host, identity, seconds, signature }) {
    const made = await createAPISig(secret, soon(seconds));
    const client = Client.withUserAuth({ key, ...made, ...(signature && { sig: signature }) }, host);
    return client.getToken(PrivateKey.fromString(identity));
  },

  // The client of 2020, as the seed uses it.
  async old({ key, secret, host, identity }) {
    const context = new Provider(host);
    await context.withUserKey({ key, secret, type: 1 });
    return new OldClient(context).getToken(await Libp2pCryptoIdentity.fromString(identity));
  },

  // Keys of all kinds, of its own making.
  async random({ key, secret, host, old }) {
    if (old) {
      const identity = await OldClient.randomIdentity();
      const made = { key, secret, host, identity: identity.toString() };
      return { token: await verbs.old(made), public: identity.public.toString() };
    }
    const identity = PrivateKey.fromRandom();
    const made = { key, secret, host, identity: identity.toString() };
    return { token: await verbs.keyInfo(made), public: identity.public.toString() };
  },
};

// All at once, as the people of an application would, by name; then those who look at the clock.
const said = {};
const one = async ([name, [verb, how]]) => {
  said[name] = await outcome(() => verbs[verb](how));
};
const steps = Object.entries(asked.steps);
const timed = ([, [verb]]) => verb === "userAuth";
await Promise.all(steps.filter((step) => !timed(step)).map(one));
for (const step of steps.filter(timed)) await one(step);
answer(said);
