/** How an event is put together, once, at the moment when it is recorded. */

export type Properties = Record<string, unknown>;
/** Properties, or a function that gives them. */
export type Source = Properties | (() => Properties);

const isObject = (value: unknown): value is Properties =>
  Object.prototype.toString.call(value) === "[object Object]";

/** Objects within objects are merged; of all else the later wins. */
export function merge(target: Properties, source: Properties): Properties {
  for (const [name, value] of Object.entries(source)) {
    const before = target[name];
    const merged = isObject(value) && isObject(before) && typeof value["toJSON"] !== "function";
    // Defined, not assigned, so that a property named __proto__ is one like others.
    Object.defineProperty(target, name, {
      value: merged ? merge({ ...before }, value) : value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return target;
}

/** Hexadecimal digits by chance, 32 unless told. */
export const randomDigits = (bytes = 16): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) =>
    (byte + 256).toString(16).slice(1),
  ).join("");

/**
 * A token that no other event has. It begins with the time: tokens that come one after another are neighbours
 * in the server's index of them, which takes them in half the time.
 */
const uniqueToken = (): string => Date.now().toString(36) + randomDigits(12);

/** The event of these properties: with its time, and with the token by which the server knows it again. */
export function eventOf(sources: Source[], time: number): Properties {
  const event: Properties = {
    keen: { timestamp: new Date(time).toISOString(), uniqueness_token: uniqueToken() },
  };
  for (const source of sources) merge(event, typeof source === "function" ? source() : source);
  return event;
}
