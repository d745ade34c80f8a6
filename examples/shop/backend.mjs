// The shop's backend in Node: serves site/, logs customers in, makes their embed tokens.
//
// backend.py is the same in Python; either reads shop.json, which prepare.py writes.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

import { embedToken } from "acumen-client/embed";

const SITE = new URL("site/", import.meta.url);
const SHOP = JSON.parse(await readFile(new URL("shop.json", import.meta.url), "utf8"));
const TOKEN_SECONDS = 3600;
const KINDS = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
const PAGES = { "/": "index.html", "/login": "login.html", "/account": "account.html" };

const HEADERS = {
  // Scripts come from the shop and from Acumen, none stands in a page; events, questions, pictures and frames go to
  // Acumen.
  "Content-Security-Policy":
    `default-src 'none'; script-src 'self' ${SHOP.acumen}/clients/; style-src 'self'; img-src 'self' ${SHOP.acumen}; ` +
    `connect-src 'self' ${SHOP.acumen}; frame-src ${SHOP.acumen}; form-action 'self'; base-uri 'none'; ` +
    "frame-ancestors 'none'",
  // Images name their origin in `Referer` alone; `no-referrer` here would leave them undrawn.
  "Referrer-Policy": "strict-origin-when-cross-origin",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-store",
};

/** Shows the three charts of the account page, of this customer's purchases, on this shop's pages. */
function tokenFor(customer) {
  return embedToken(SHOP.embed_key, {
    filters: [{ property_name: "customer.id", operator: "eq", property_value: customer }],
    savedQueries: ["spending", "goods", "total"],
    origins: [SHOP.shop],
    viewer: { timeframe: true },
    expiresIn: TOKEN_SECONDS,
  });
}

function signed(customer) {
  const tag = createHmac("sha256", Buffer.from(SHOP.cookie_secret, "hex")).update(customer).digest("hex");
  return `${customer}.${tag}`;
}

/** Who is logged in; empty for nobody. */
function customerOf(request) {
  const cookie = /(?:^|; )session=([^;]*)/.exec(request.headers.cookie ?? "")?.[1] ?? "";
  const customer = cookie.split(".")[0];
  const [given, expected] = [Buffer.from(cookie), Buffer.from(signed(customer))];
  return given.length === expected.length && timingSafeEqual(given, expected) ? customer : "";
}

const escaped = (text) => text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);

async function page(name, customer) {
  const { acumen, project, page_key } = SHOP;
  const token = name === "account.html" ? await tokenFor(customer) : "";
  const values = { acumen, project, page_key, customer, token, seconds: String(TOKEN_SECONDS) };
  const text = await readFile(new URL(name, SITE), "utf8");
  return [200, "text/html; charset=utf-8", text.replace(/\{\{(\w+)\}\}/g, (_, key) => escaped(values[key]))];
}

function redirect(path, cookie) {
  const headers = { Location: path };
  if (cookie) headers["Set-Cookie"] = `${cookie}; Path=/; HttpOnly; SameSite=Strict`;
  return [303, "text/plain", "", headers];
}

async function got(path, customer) {
  if (path === "/account" && !customer) return redirect("/login");
  if (path === "/token" && !customer) return [401, "application/json", '{"error": "log in first"}'];
  if (path === "/token") {
    const body = { token: await tokenFor(customer), seconds: TOKEN_SECONDS };
    return [200, "application/json", JSON.stringify(body)];
  }
  if (Object.hasOwn(PAGES, path)) return page(PAGES[path], customer);
  const file = /^\/([a-z-]+\.(js|css|svg))$/.exec(path);
  const body = file && (await readFile(new URL(file[1], SITE)).catch(() => null));
  return body ? [200, KINDS[file[2]], body] : [404, "text/plain", "There is no such page."];
}

async function posted(path, request) {
  let text = "";
  for await (const part of request) if (text.length < 10_000) text += part;
  const customer = new URLSearchParams(text).get("customer") ?? "";
  if (path === "/logout") return redirect("/", "session=; Max-Age=0");
  // A real shop asks for a password here.
  if (path !== "/login" || !/^[a-z]{1,20}$/.test(customer)) return [400, "text/plain", "That is no customer."];
  return redirect("/account", `session=${signed(customer)}`);
}

const server = createServer(async (request, response) => {
  const path = request.url.split("?")[0];
  const made = request.method === "POST" ? posted(path, request) : got(path, customerOf(request));
  const [status, kind, body, headers] = await made.catch((error) => {
    console.error(error);
    return [500, "text/plain", "Something went wrong."];
  });
  response.writeHead(status, { ...HEADERS, ...headers, "Content-Type": kind }).end(body);
});
const { hostname, port } = new URL(SHOP.shop);
server.listen(Number(port || 80), hostname, () => console.log(`The shop is open at ${SHOP.shop}`));
