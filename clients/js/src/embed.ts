/**
 * Embed tokens: made without the server, from an access key, for a page in a customer's hands. A token can
 * only narrow what its key may do. Whoever holds one can narrow it further, and can neither read nor remove
 * what is in it. The format is version 1, `ae1.<key id>.<sealed>[.<narrowing>]*.<tag>`.
 */
import { AcumenError } from "./errors.ts";
import type { Filter } from "./questions.ts";

export interface Conditions {
  /** Hold for everything that is read. */
  filters?: readonly Filter[];
  /** Names of saved queries whose results may be read; absent: those that the key may. */
  savedQueries?: readonly string[];
  /** Ids of dashboards that may be read. */
  dashboards?: readonly string[];
  /** Names of datasets that may be read. */
  datasets?: readonly string[];
  /** Seconds until the token ends; `embedToken` takes an hour unless told, null is for ever. */
  expiresIn?: number | null;
  /** Unix time, in seconds, at which the token ends; in place of `expiresIn`. */
  expiresAt?: number;
  /** Origins of pages that may use it: `https://shop.example`, `null` of sandboxed frames, `no-origin`. */
  origins?: readonly string[];
  /** How many answers it may get in all, 1 or more. */
  queries?: number;
  /** What it may do beside reading results of saved queries, datasets and dashboards. */
  allow?: readonly ("queries" | "extractions" | "tail" | "schema" | "exports")[];
  /** What a viewer may change of a saved query. */
  viewer?: { timeframe?: boolean; interval?: boolean; filters?: readonly string[] };
}

const HOUR = 3600;
const NARROWINGS_MAX = 8;
const BYTES_MAX = 8192;
const encoder = new TextEncoder();
type Bytes = Uint8Array<ArrayBuffer>;

const bytes = (text: string): Bytes => encoder.encode(text) as Bytes;

const base64url = (raw: Bytes): string =>
  btoa(Array.from(raw, (byte) => String.fromCharCode(byte)).join(""))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

const unbase64url = (text: string): Bytes => {
  const standard = text.replace(/-/g, "+").replace(/_/g, "/");
  return Uint8Array.from(atob(standard), (character) => character.charCodeAt(0));
};

async function derive(secret: Bytes, info: string): Promise<Bytes> {
  const key = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: bytes(info) };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 256));
}

async function mac(secret: Bytes, text: string): Promise<Bytes> {
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes(text)));
}

async function seal(secret: Bytes, conditions: string, about: string, nonce: Bytes): Promise<string> {
  const key = await crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt"]);
  const how = { name: "AES-GCM", iv: nonce, additionalData: bytes(about) };
  const sealed = new Uint8Array(await crypto.subtle.encrypt(how, key, bytes(conditions)));
  const whole = new Uint8Array(nonce.length + sealed.length);
  whole.set(nonce);
  whole.set(sealed, nonce.length);
  return base64url(whole);
}

const KNOWN = new Set(
  "filters savedQueries dashboards datasets expiresIn expiresAt origins queries allow viewer".split(" "),
);

const USES = ["queries", "extractions", "tail", "schema", "exports"];
const CHANGEABLE = ["timeframe", "interval", "filters"];

const scalar = (value: unknown): boolean => value === null || /^(string|number|boolean)$/.test(typeof value);
const scalars = (value: unknown): boolean => Array.isArray(value) && value.every(scalar);
const text = (value: unknown): boolean => typeof value === "string";
const ordered = (value: unknown): boolean => text(value) || typeof value === "number";
/** What each operator of a filter compares with. */
const OPERANDS: Record<string, (value: unknown) => boolean> = {
  eq: (value) => scalar(value) || scalars(value),
  ne: (value) => scalar(value) || scalars(value),
  lt: ordered,
  lte: ordered,
  gt: ordered,
  gte: ordered,
  exists: (value) => typeof value === "boolean",
  in: scalars,
  contains: (value) => scalar(value) && value !== null,
  not_contains: (value) => scalar(value) && value !== null,
  within: (value) => typeof value === "object" && !scalar(value) && !Array.isArray(value),
  regex: text,
  in_group: scalar,
};

/**
 * What is wrong with a list of filters; undefined where nothing is. The pattern of a regex and the classes of
 * `in_group` are not judged.
 */
function fault(filters: unknown): string | undefined {
  if (!Array.isArray(filters)) return "filters must be a list of filters";
  for (const filter of filters) {
    const { property_name, operator, property_value, operands } = filter ?? {};
    const known = Object.hasOwn(OPERANDS, operator);
    if (operator === "or") {
      const inner = operands?.length === 0 ? "a filter 'or' needs operands" : fault(operands);
      if (inner) return inner;
    } else if (!known) return `a filter's operator is one of ${Object.keys(OPERANDS).join(", ")} and or`;
    else if (!text(property_name) || !property_name) return "a filter needs a property_name";
    else if (!OPERANDS[operator]!(property_value)) {
      const value = JSON.stringify(property_value);
      return `the filter on '${property_name}' cannot compare with ${value} by '${operator}'`;
    }
  }
}

/** Conditions that would let everything through where a variable turns out to have no value. */
const NARROWING = ["filters", "savedQueries", "dashboards", "datasets", "origins", "queries"] as const;

/** What a server would refuse as a whole, without saying why, is refused here. */
function check(conditions: Conditions): void {
  const refuse = (text: string): never => {
    throw new AcumenError(text);
  };
  const texts = (name: string, value: unknown, known?: string[]) => {
    if (value === undefined) return;
    if (!Array.isArray(value) || value.some((one) => typeof one !== "string"))
      refuse(`${name} must be a list of texts, not ${JSON.stringify(value)}`);
    const other = known && (value as string[]).find((one) => !known.includes(one));
    if (other !== undefined) refuse(`${name} may hold ${known!.join(", ")}; not '${other}'`);
  };
  for (const name of Object.keys(conditions)) {
    if (!KNOWN.has(name)) refuse(`'${name}' is no condition of an embed token`);
  }
  const { filters, origins, queries, viewer, allow } = conditions;
  for (const name of NARROWING)
    if (name in conditions && conditions[name] === undefined)
      refuse(`${name} is undefined, which would restrict nothing: leave it out or give it a value`);
  const wrong = filters && fault(filters);
  if (wrong) refuse(wrong);
  for (const name of ["savedQueries", "dashboards", "datasets"] as const) texts(name, conditions[name]);
  texts("allow", allow, USES);
  texts("origins", origins);
  const address = origins?.find((one) => !/^([a-z][a-z\d+.-]*:\/\/[^/?#\s]+|null|no-origin)$/i.test(one));
  if (address !== undefined) refuse(`'${address}' is no origin, as https://shop.example is, without a path`);
  if (queries !== undefined && !(Number.isSafeInteger(queries) && queries >= 1))
    refuse("queries must be how many answers the token may get in all, an integer of 1 or more");
  if (viewer !== undefined) {
    texts("a viewer's changes", Object.keys(viewer), CHANGEABLE);
    texts("filters of viewer", viewer.filters);
    for (const name of ["timeframe", "interval"] as const)
      if (typeof (viewer[name] ?? true) !== "boolean") refuse(`'${name}' of viewer must be true or false`);
  }
}

/** The conditions as a token holds them. */
function asJson(conditions: Conditions, lifetime: number | null): string {
  check(conditions);
  const { savedQueries, expiresIn = lifetime, expiresAt, ...same } = conditions;
  const ends = expiresAt ?? (expiresIn === null ? undefined : Math.floor(Date.now() / 1000) + expiresIn);
  if (ends !== undefined && !Number.isSafeInteger(ends))
    throw new AcumenError("a token ends at a whole second");
  if (expiresAt === undefined && expiresIn !== null && expiresIn <= 0)
    throw new AcumenError("expiresIn is how many seconds the token holds, more than 0, or null");
  return JSON.stringify({ ...same, saved_queries: savedQueries, expires_at: ends });
}

const randomNonce = (): Bytes => crypto.getRandomValues(new Uint8Array(12));

function checked(token: string): string {
  if (token.length > BYTES_MAX)
    throw new AcumenError(`the token has ${token.length} bytes, and may have ${BYTES_MAX}`);
  return token;
}

/** The public id of an access key, which its tokens carry. */
export async function accessKeyId(accessKey: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes("acumen key id v1\0" + accessKey));
  return Array.from(new Uint8Array(digest).slice(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

/** A token of an access key. Without `expiresIn` it ends in an hour. */
export async function embedToken(accessKey: string, conditions: Conditions = {}): Promise<string> {
  return sealedToken(accessKey, asJson(conditions, HOUR), randomNonce());
}

/** A token that may do less than this one. Without `expiresIn` it ends when this one does. */
export async function narrowEmbedToken(token: string, conditions: Conditions): Promise<string> {
  return narrowedToken(token, asJson(conditions, null), randomNonce());
}

/** `embedToken` with the conditions' JSON and the nonce, which must never come twice. */
export async function sealedToken(accessKey: string, conditions: string, nonce: Bytes): Promise<string> {
  const secret = bytes(accessKey);
  const about = "ae1." + (await accessKeyId(accessKey));
  const head =
    about + "." + (await seal(await derive(secret, "acumen embed v1 seal"), conditions, about, nonce));
  const tag = await mac(await derive(secret, "acumen embed v1 chain"), head);
  return checked(head + "." + base64url(tag));
}

/** `narrowEmbedToken` with the conditions' JSON and the nonce. */
export async function narrowedToken(token: string, conditions: string, nonce: Bytes): Promise<string> {
  const parts = token.split(".");
  if (parts[0] !== "ae1" || parts.length < 4) throw new AcumenError("this is no embed token of version 1");
  if (parts.length - 4 >= NARROWINGS_MAX)
    throw new AcumenError(`a token can be narrowed ${NARROWINGS_MAX} times`);
  const tag = unbase64url(parts.pop()!);
  const narrowing = await seal(await derive(tag, "acumen embed v1 narrow"), conditions, "ae1", nonce);
  return checked([...parts, narrowing, base64url(await mac(tag, narrowing))].join("."));
}
