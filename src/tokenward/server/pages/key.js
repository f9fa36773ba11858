// The journey of a key: made here, asked about, signed with, worth a token. The private half is a
// CryptoKey that may not be extracted; what is sent is what `send` sends, and all of it is shown.
const journey = document.getElementById("journey");
const { issuer, audience } = journey.dataset;
const announced = document.getElementById("said");
const of = (id) => document.getElementById(id);

const KINDS = {
  EdDSA: { make: "Ed25519", sign: "Ed25519", named: "Ed25519" },
  ES256: {
    make: { name: "ECDSA", namedCurve: "P-256" },
    sign: { name: "ECDSA", hash: "SHA-256" },
    named: "P-256, because this browser has no Ed25519",
  },
};
const PROOF = "tokenward-key-proof+jwt";

let mine; // the key, and what has become of it since
let busy = false; // one thing at a time

// ── what is shown ──────────────────────────────────────────────────────────────────────────────

function element(name, className, ...content) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...content);
  return made;
}

function copyButton(title) {
  const copy = element("button", "copy", "Copy");
  copy.type = "button";
  copy.setAttribute("aria-label", `Copy: ${title}`);
  return copy;
}

function figure(title, said, { wide = false, copied = true } = {}) {
  const code = element("code", "", ...(Array.isArray(said) ? said : [said]));
  const box = element("div", "code", element("pre", "", code), ...(copied ? [copyButton(title)] : []));
  const caption = element("figcaption", "", element("b", "", title));
  return element("figure", wide ? "wide" : "", caption, box);
}

function verdict(good, strong, why) {
  return element("p", good ? "verdict" : "verdict no", element("strong", "", strong), ` ${why}`);
}

function show(id, good, ...shown) {
  of(id).querySelector(".shown").replaceChildren(...shown);
  of(id).classList.toggle("done", good);
  of(id).classList.toggle("failed", !good);
  announced.textContent = of(id).querySelector(".verdict")?.textContent ?? "Done";
}

function clear(...ids) {
  for (const id of ids) {
    of(id).querySelector(".shown").replaceChildren();
    of(id).classList.remove("done", "failed");
    of(id).querySelector(".act").disabled = true;
  }
}

const enable = (...ids) => ids.forEach((id) => (of(id).querySelector(".act").disabled = false));
const pretty = (said) => JSON.stringify(said, null, 2);
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function coloured(jwt) {
  const [head, body, signature] = jwt.split(".");
  const part = (name, text) => element("span", name, text);
  return [part("head", head), ".", part("body", body), ".", part("signature", signature)];
}

function figureOfJwt(title, jwt) {
  const made = figure(title, coloured(jwt), { wide: true });
  made.classList.add("jwt");
  return made;
}

// ── what is sent ───────────────────────────────────────────────────────────────────────────────

async function send(path, kind, body) {
  const answer = await fetch(path, { method: "POST", headers: { "content-type": kind }, body });
  const text = await answer.text();
  let said;
  try {
    said = JSON.parse(text);
  } catch {
    said = { error: text };
  }
  return { ok: answer.ok, status: answer.status, said };
}

const received = (got) => figure("Received", `${got.status}\n\n${pretty(got.said)}`);

function publicHalf({ kty, crv, x, y }) {
  return y === undefined ? { kty, crv, x } : { kty, crv, x, y }; // what a key is, and no more
}

async function question(jwk) {
  const body = JSON.stringify({ public_key: jwk });
  return { body, ...(await send("/challenge", "application/json", body)) };
}

const exchange = (answer) => ({
  grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
  subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
  subject_token: answer,
  audience,
});

async function redeem(answer) {
  const form = exchange(answer);
  const kind = "application/x-www-form-urlencoded";
  return { form, ...(await send("/token", kind, new URLSearchParams(form).toString())) };
}

// ── what is signed ─────────────────────────────────────────────────────────────────────────────

async function newKeys() {
  for (const [alg, kind] of Object.entries(KINDS)) {
    try {
      const keys = await crypto.subtle.generateKey(kind.make, false, ["sign", "verify"]);
      const jwk = publicHalf(await crypto.subtle.exportKey("jwk", keys.publicKey));
      return { alg, jwk, sign: keys.privateKey };
    } catch (error) {
      if (alg === "ES256") throw error;
    }
  }
}

const text = new TextEncoder();

function base64url(bytes) {
  const characters = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(characters).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

const part = (said) => base64url(text.encode(JSON.stringify(said)));

function read(encoded) {
  const characters = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(characters, (one) => one.codePointAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

async function signed(key, head, claims) {
  const what = `${part(head)}.${part(claims)}`;
  const signature = await crypto.subtle.sign(KINDS[key.alg].sign, key.sign, text.encode(what));
  return `${what}.${base64url(signature)}`;
}

const headOf = (key) => ({ alg: key.alg, typ: PROOF });
const claimsOf = (asked, aud = issuer) => ({
  iss: asked.public_key,
  sub: asked.public_key,
  aud,
  nonce: asked.nonce,
});

// ── the steps ──────────────────────────────────────────────────────────────────────────────────

const LATER = ["ask", "sign", "redeem", "use", "twice", "another", "elsewhere", "read"];

const acts = {
  async make() {
    clear(...LATER);
    mine = await newKeys();
    const hidden = `CryptoKey ${mine.sign.type}, extractable: ${mine.sign.extractable}`;
    show(
      "make",
      true,
      figure("The public half", pretty(mine.jwk)),
      figure("The private half, as far as this page sees it", hidden, { copied: false }),
      verdict(true, "Made.", `A key of the kind ${KINDS[mine.alg].named}. Nothing was sent.`),
    );
    enable("ask", "read");
  },

  async ask() {
    clear("sign", "redeem", "use", "twice", "another", "elsewhere");
    const got = await question(mine.jwk);
    const json = "-H 'content-type: application/json'";
    show(
      "ask",
      got.ok,
      figure("Sent", `POST /challenge\ncontent-type: application/json\n\n${got.body}`),
      received(got),
      figure("From a command line", `curl -s ${json} -d ${quoted(got.body)} ${issuer}/challenge`, {
        wide: true,
      }),
      got.ok
        ? verdict(true, "Asked.", `You have ${got.said.expires_in} seconds. Your name is your key.`)
        : verdict(false, `${got.status}.`, "There is no question."),
    );
    mine.asked = got.ok ? got.said : undefined;
    if (got.ok) enable("sign");
  },

  async sign() {
    clear("redeem", "use", "twice", "another", "elsewhere");
    const [head, claims] = [headOf(mine), claimsOf(mine.asked)];
    mine.answer = await signed(mine, head, claims);
    const said = Object.entries(exchange(mine.answer)).map(([name, value]) => `-d ${name}=${value}`);
    show(
      "sign",
      true,
      figure("What is signed: the header", pretty(head)),
      figure("What is signed: the claims", pretty(claims)),
      figureOfJwt("The signed answer, a JWT: header, claims, signature", mine.answer),
      figure("The fourth step from a command line, instead", `curl -s ${said.join(" ")} ${issuer}/token`, {
        wide: true,
      }),
      verdict(true, "Signed.", "The browser did it; the key has not moved."),
    );
    enable("redeem");
  },

  async redeem() {
    const got = await redeem(mine.answer);
    const lines = Object.entries(got.form).map(([name, value]) => `${name}=${value}`);
    const shown = [
      figure("Sent", `POST /token\ncontent-type: application/x-www-form-urlencoded\n\n${lines.join("\n&")}`),
      received(got),
    ];
    if (got.ok) {
      mine.token = got.said.access_token;
      const [head, claims] = mine.token.split(".");
      shown.push(
        figureOfJwt("The token", mine.token),
        figure("What it says: the header", pretty(read(head))),
        figure("What it says: the claims", pretty(read(claims))),
        verdict(true, "A token.", `It ends in ${got.said.expires_in} seconds.`),
      );
      enable("use", "twice", "another", "elsewhere");
    } else {
      const why = "Was it longer than a minute, or not the first time? Ask again (step 2).";
      shown.push(verdict(false, `${got.status} ${got.said.error}.`, why));
    }
    show("redeem", got.ok, ...shown);
  },

  async use() {
    const command = `curl -s -H 'Authorization: Bearer ${mine.token}' ${journey.dataset.api}`;
    show(
      "use",
      true,
      figure("To be pasted into a terminal", command, { wide: true }),
      verdict(true, "Ready.", "This page may not ask the API itself: it is another origin."),
    );
  },

  async twice() {
    const got = await redeem(mine.answer);
    refused("twice", got, "An answer is good once: whoever overhears one has nothing.");
  },

  async another() {
    const [asked, theirs] = await Promise.all([question(mine.jwk), newKeys()]);
    const got = await redeem(await signed(theirs, headOf(theirs), claimsOf(asked.said)));
    refused("another", got, "A name is a key, and only that key signs for it.");
  },

  async elsewhere() {
    const asked = await question(mine.jwk);
    const claims = claimsOf(asked.said, "https://elsewhere.example.com");
    const got = await redeem(await signed(mine, headOf(mine), claims));
    refused("elsewhere", got, "What is signed names its server, and that was not this one.");
  },

  async read() {
    let why = "";
    try {
      await crypto.subtle.exportKey("pkcs8", mine.sign);
    } catch (error) {
      why = `${error.name}: ${error.message}`;
    }
    const good = why !== "";
    show(
      "read",
      good,
      figure("Tried", 'crypto.subtle.exportKey("pkcs8", privateKey)'),
      figure("What the browser says", why || "here it is"),
      good
        ? verdict(true, "Refused.", "It could have things signed while the page is open; no more.")
        : verdict(false, "Given out.", "This browser does not keep its word."),
    );
  },
};

function refused(id, got, why) {
  const good = !got.ok;
  show(
    id,
    good,
    figure("Sent", `POST /token\n\nsubject_token=${got.form.subject_token}`),
    received(got),
    good
      ? verdict(true, `Refused: ${got.said.error}.`, why)
      : verdict(false, "Accepted.", "That must not be."),
  );
}

for (const [id, act] of Object.entries(acts)) {
  const button = of(id).querySelector(".act");
  button.addEventListener("click", async () => {
    if (busy) return; // and not disabled: whoever is there with the keyboard stays there
    busy = true;
    try {
      await act();
    } catch (error) {
      show(id, false, verdict(false, "That went wrong.", String(error.message ?? error)));
    }
    busy = false;
  });
}

if (globalThis.isSecureContext && globalThis.crypto?.subtle) {
  enable("make");
} else {
  const unable = of("unable");
  unable.textContent = "This browser signs nothing here: open the page at 127.0.0.1 or localhost.";
  unable.hidden = false;
}
