import type { Filter } from "./questions.js";
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
    viewer?: {
        timeframe?: boolean;
        interval?: boolean;
        filters?: readonly string[];
    };
}
type Bytes = Uint8Array<ArrayBuffer>;
/** The public id of an access key, which its tokens carry. */
export declare function accessKeyId(accessKey: string): Promise<string>;
/** A token of an access key. Without `expiresIn` it ends in an hour. */
export declare function embedToken(accessKey: string, conditions?: Conditions): Promise<string>;
/** A token that may do less than this one. Without `expiresIn` it ends when this one does. */
export declare function narrowEmbedToken(token: string, conditions: Conditions): Promise<string>;
/** `embedToken` with the conditions' JSON and the nonce, which must never come twice. */
export declare function sealedToken(accessKey: string, conditions: string, nonce: Bytes): Promise<string>;
/** `narrowEmbedToken` with the conditions' JSON and the nonce. */
export declare function narrowedToken(token: string, conditions: string, nonce: Bytes): Promise<string>;
export {};
