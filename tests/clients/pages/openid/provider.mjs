/**
 * A provider of OpenID Connect for tests: node provider.mjs PORT, with its clients and people as JSON in OPENID.
 *
 * Its keys are new with every start. Its own pages to log in take any name of the people, with any password.
 */
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const port = Number(process.argv[2]);
const { client_id, client_secret, redirect_uri, people } = JSON.parse(process.env.OPENID);
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" };

const provider = new Provider(`http://localhost:${port}`, {
  clients: [{ client_id, client_secret, redirect_uris: [redirect_uri], response_types: ["code"], grant_types: ["authorization_code"] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  cookies: { keys: ["only for tests"] },
  jwks: { keys: [key] },
  pkce: { required: () => true },
  findAccount: (_, id) => people[id] && { accountId: id, claims: async () => ({ sub: id, ...people[id] }) },
});
createServer(provider.callback()).listen(port, "127.0.0.1", () => console.log("ready"));
