// The client under test and the job that a test gave, for the scripts beside this one.
import { readFileSync } from "node:fs";

export * from "../../../clients/js/dist/index.js";
export const job = JSON.parse(readFileSync(0, "utf8"));
export const tell = (value) => console.log(JSON.stringify(value));

/** What a promise became: its value, or its error as plain data. */
export const outcome = async (promise) => {
  try {
    return { answer: (await promise) ?? null };
  } catch (error) {
    const { name, message, status, code, requestId, retryAfter } = error;
    return { error: { name, message, status, code, requestId, retryAfter } };
  }
};
