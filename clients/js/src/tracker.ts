import { VERSION } from "./index.ts";
(globalThis as { acumen?: unknown }).acumen = { version: VERSION };
