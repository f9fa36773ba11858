// gRPC's own client, and its reader of protobuf, ask a hub for tokens.
import { createRequire } from "node:module";
import { answer, asked } from "./asking.mjs";

const require = createRequire(import.meta.url);
const grpc = require("@grpc/grpc-js");
const { loadSync } = require("@grpc/proto-loader");
const { PrivateKey } = require("@textile/hub");

const { API } = grpc.loadPackageDefinition(loadSync("threads.proto")).threads.pb;

function token({ host, said, identity, sign = "right" }) {
  const client = new API(host, grpc.credentials.createInsecure());
  const mine = PrivateKey.fromString(identity);
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(said)) metadata.add(name, value);
  return new Promise((resolve) => {
    const heard = {};
    const call = client.getToken(metadata, { deadline: Date.now() + 20_000 });
    call.on("data", async ({ challenge, token }) => {
      if (challenge?.length) {
        heard.challenge = challenge.length;
        const signature = await mine.sign(sign === "right" ? challenge : challenge.reverse());
        if (sign !== "never") call.write({ signature });
        call.end();
      } else heard.token = token;
    });
    call.on("error", () => {});
    call.on("status", ({ code, details }) => {
      client.close();
      resolve({ ...heard, code, details });
    });
    call.write({ key: mine.public.toString() });
  });
}

const names = Object.keys(asked);
const answers = await Promise.all(names.map((name) => token(asked[name])));
answer(Object.fromEntries(names.map((name, place) => [name, answers[place]])));
