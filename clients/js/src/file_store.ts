/**
 * A queue in a file, for Node, Deno and Bun: events outlive the program, also one that is killed.
 *
 * The file is a journal: a line for each event, and a line for each list of events that have their verdict. A
 * line that a crash or a full disk left unfinished is cut off. One program at a time has the file.
 */
import type { Entry, Store } from "./outbox.ts";

/** What is used of `node:fs/promises`; the package has no types of Node. */
interface Handle {
  appendFile(text: string): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}
interface Files {
  open(path: string, flags: string): Promise<Handle>;
  readFile(path: string, encoding: "utf8"): Promise<string>;
  writeFile(path: string, text: string, options?: object): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: object): Promise<void>;
}
interface Program {
  pid: number;
  kill(pid: number, signal: 0): void;
}

const DEAD_MAX = 1000;
const encoder = new TextEncoder();

export interface FileStore extends Store {
  /** Give the file back; what is in it waits for the next program. */
  close(): Promise<void>;
}

export interface FileStoreOptions {
  /** How many events the file may hold; default 1,000,000. */
  eventsMax?: number;
}

/** Open the queue of this file; fails while another running program has it. */
export async function openFileStore(path: string, options: FileStoreOptions = {}): Promise<FileStore> {
  // Not seen by bundlers for browsers.
  const files = (await import(/* @vite-ignore */ ["node", "fs/promises"].join(":"))) as Files;
  const eventsMax = options.eventsMax ?? 1e6;
  const lock = path + ".lock";
  await take(files, lock);
  const kept = await replay(files, path);
  const journal = (): string => [...kept].map(([key, entry]) => JSON.stringify([key, entry]) + "\n").join("");
  let next = Math.max(0, ...kept.keys()) + 1;
  let dead = 0;
  let size = 0;
  let handle: Handle | undefined;
  let last: Promise<unknown> = Promise.resolve();

  /** Write a new journal of what is left, and put it in the place of the old one. */
  const renew = async (): Promise<void> => {
    const text = journal();
    await files.writeFile(path + ".new", text, { mode: 0o600 });
    await handle?.close();
    await files.rename(path + ".new", path);
    handle = await files.open(path, "a");
    [dead, size] = [0, encoder.encode(text).length];
  };
  /** One after the other, whatever became of the one before. */
  const inTurn = <T>(act: () => Promise<T>): Promise<T> => {
    const turn = last.then(act, act);
    last = turn.catch(() => undefined);
    return turn;
  };
  const append = async (line: unknown): Promise<void> => {
    const text = JSON.stringify(line) + "\n";
    try {
      await handle!.appendFile(text);
      size += encoder.encode(text).length;
    } catch (error) {
      // Half a line must not stand before the next.
      await handle!.truncate(size).catch(() => undefined);
      throw error;
    }
  };

  await renew();
  return {
    add: (entry) =>
      inTurn(async () => {
        if (kept.size >= eventsMax) return null;
        const key = next++;
        await append([key, entry]);
        kept.set(key, entry);
        return key;
      }),
    async read(max) {
      const found: [number, Entry][] = [];
      for (const pair of kept) if (found.push(pair) >= max) break;
      return found;
    },
    remove: (keys) =>
      inTurn(async () => {
        for (const key of keys) kept.delete(key as number);
        dead += keys.length;
        if (dead > DEAD_MAX && dead > 2 * kept.size) return renew();
        // Where the disk is full, a journal of what is left takes less room.
        await append(keys).catch(renew);
      }),
    close: () =>
      inTurn(async () => {
        await handle?.close();
        await files.rm(lock, { force: true });
      }),
  };
}

/** The events of a journal that have no verdict. */
async function replay(files: Files, path: string): Promise<Map<number, Entry>> {
  const kept = new Map<number, Entry>();
  const text = await files.readFile(path, "utf8").catch((error: { code?: string }) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  for (const line of text.split("\n")) {
    let said: any;
    try {
      said = JSON.parse(line);
    } catch {
      continue;
    }
    if (typeof said?.[1] === "object") kept.set(said[0], said[1]);
    else for (const key of said ?? []) kept.delete(key);
  }
  return kept;
}

/** Make the lock file, in the place of one whose program is gone. */
async function take(files: Files, lock: string): Promise<void> {
  const { process } = globalThis as unknown as { process: Program };
  for (;;) {
    try {
      return await files.writeFile(lock, String(process.pid), { flag: "wx" });
    } catch (error) {
      if ((error as { code?: string }).code !== "EEXIST") throw error;
    }
    const pid = Number(await files.readFile(lock, "utf8").catch(() => ""));
    if (pid && pid !== process.pid && runs(process, pid)) throw new Error(`${lock}: used by process ${pid}`);
    await files.rm(lock, { force: true });
  }
}

function runs(process: Program, pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}
