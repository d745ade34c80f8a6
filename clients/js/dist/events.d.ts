/** How an event is put together, once, at the moment when it is recorded. */
export type Properties = Record<string, unknown>;
/** Properties, or a function that gives them. */
export type Source = Properties | (() => Properties);
/** Objects within objects are merged; of all else the later wins. */
export declare function merge(target: Properties, source: Properties): Properties;
/** Hexadecimal digits by chance, 32 unless told. */
export declare const randomDigits: (bytes?: number) => string;
/** The event of these properties: with its time, and with the token by which the server knows it again. */
export declare function eventOf(sources: Source[], time: number): Properties;
