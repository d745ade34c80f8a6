#!/bin/sh
# oidc-provider 9.13.3 (Node): the issuer is the one that it was given, while the addresses of its endpoints have the host of
# the request for them, whatever that is. Who fetches the metadata by an inner name, or keeps what another's request
# got, sends browsers and codes to that host. A client can only hold the issuer against its own setting, and has to
# fetch by the issuer's own address.
# Seen: "issuer http://provider.example, token endpoint http://elsewhere.example/token".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts oidc-provider@9.13.3 >/dev/null
cat >look.mjs <<'JS'
import { createServer, get } from "node:http";
import { Provider } from "oidc-provider";

const provider = new Provider("http://provider.example", { clients: [] });
const server = createServer(provider.callback()).listen(0, "127.0.0.1", () => {
  const where = { host: "127.0.0.1", port: server.address().port, path: "/.well-known/openid-configuration" };
  get({ ...where, headers: { host: "elsewhere.example" } }, async (answer) => {
    let text = "";
    for await (const part of answer) text += part;
    const { issuer, token_endpoint } = JSON.parse(text);
    console.log(`issuer ${issuer}, token endpoint ${token_endpoint}`);
    process.exit(issuer === "http://provider.example" && token_endpoint === "http://elsewhere.example/token" ? 0 : 1);
  });
});
JS
node look.mjs 2>/dev/null
