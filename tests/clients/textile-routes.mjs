// Pages that were written for the servers of Textile's examples: they ask ours.
import { createRequire } from "node:module";
import { answer, asked, outcome } from "./asking.mjs";

const require = createRequire(import.meta.url);
const { Client, PrivateKey } = require("@textile/hub");
const { Libp2pCryptoIdentity } = require("@textile/threads-core");

globalThis.WebSocket = require("isomorphic-ws");

const { origin, hub, identity } = asked;
const secure = (path) => origin.replace("http", "ws") + path;

// What the first example has in the browser, with an address before it: there, it is the page's own.
const generateToken = async (someone) => {
  const response = await fetch(`${origin}/api/token?ident=${someone.toString()}`, { method: "GET" });
  const data = await response.json();
  return data.token;
};

// What the later ones do: the key stays, and signs what the server sends.
const login = (path, mine, sign = (bytes) => mine.sign(bytes)) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(secure(path));
    socket.onerror = () => reject(new Error("no socket"));
    socket.onopen = () => {
      const pub = mine.public.toString();
      socket.send(JSON.stringify(path === "/ws/token" ? { type: "token", pub } : { pubkey: pub, type: "token" }));
    };
    socket.onmessage = async (event) => {
      const data = JSON.parse(event.data);
      if (data.type === "challenge") {
        const sig = await sign(Buffer.from(data.value));
        socket.send(JSON.stringify({ type: "challenge", sig: Buffer.from(sig).toJSON() }));
        return;
      }
      socket.close();
      if (data.type === "token") resolve(data.value);
      else reject(new Error(data.value));
    };
  });

const mine = PrivateKey.fromString(identity);
const old = await Libp2pCryptoIdentity.fromString(identity);

answer({
  seed: await outcome(() => generateToken(old)),
  "seed, today's key": await outcome(() => generateToken(mine)),
  token: await outcome(() => login("/ws/token", old)),
  userauth: await outcome(() => login("/ws/userauth", mine)),
  login: await outcome(() => login("/ws/login", old)),
  // All the way: what comes lets the page ask the hub itself.
  hub: await outcome(async () => {
    const got = [];
    const auth = async () => {
      got.push(await login("/ws/userauth", mine));
      return got[0];
    };
    const client = Client.withUserAuth(await auth(), hub);
    return { got, token: await client.getToken(mine) };
  }),
  "bad signature": await outcome(() => login("/ws/userauth", mine, async () => new Uint8Array(64))),
});
