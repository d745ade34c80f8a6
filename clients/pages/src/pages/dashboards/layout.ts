/** Tiles on a grid of twelve columns: nothing overlaps, and nothing hangs in the air. */

export const COLUMNS = 12;
/** Pixels of a row with its gap, as <acumen-dashboard> draws it. */
export const ROW = 30;
export const GAP = 16;
const WIDTH_MIN = 2;
const HEIGHT_MIN = 3;
const HEIGHT_MAX = 60;

export interface Place {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Tile extends Place {
  id: string;
  /** The widget as the document has it; what is not known here stays. */
  widget: Record<string, any>;
}

const clamp = (value: number, least: number, most: number) => Math.max(least, Math.min(most, value));

const overlap = (a: Place, b: Place) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

export const inOrder = (tiles: readonly Tile[]) => [...tiles].sort((a, b) => a.y - b.y || a.x - b.x);

function lowest(placed: readonly Tile[], tile: Tile): Tile {
  let y = 0;
  for (const other of placed) {
    const beside = other.x >= tile.x + tile.w || tile.x >= other.x + other.w;
    if (!beside) y = Math.max(y, other.y + other.h);
  }
  // As far up as it fits, from where it is.
  let at = Math.max(tile.y, 0);
  while (placed.some((other) => overlap({ ...tile, y: at }, other))) at++;
  while (at > 0 && !placed.some((other) => overlap({ ...tile, y: at - 1 }, other))) at--;
  return { ...tile, y: Math.min(at, Math.max(y, at)) };
}

/** Every tile as far up as it goes, in their order. */
export function settle(tiles: readonly Tile[]): Tile[] {
  const placed: Tile[] = [];
  for (const tile of inOrder(tiles)) placed.push(lowest(placed, tile));
  return placed;
}

/** With one tile moved or resized; those in its way go below it. */
export function arrange(tiles: readonly Tile[], id: string, wanted: Partial<Place>): Tile[] {
  const tile = tiles.find((one) => one.id === id);
  if (!tile) return [...tiles];
  const w = clamp(wanted.w ?? tile.w, WIDTH_MIN, COLUMNS);
  const h = clamp(wanted.h ?? tile.h, HEIGHT_MIN, HEIGHT_MAX);
  const x = clamp(wanted.x ?? tile.x, 0, COLUMNS - w);
  const y = Math.max(wanted.y ?? tile.y, 0);
  const moved = { ...tile, x, y, w, h };
  const others = tiles.filter((one) => one.id !== id);
  // Going down it changes places with what it passes, which else would hold it up.
  const passed = y > tile.y ? others.map((one) => (overlap(moved, one) && one.y > tile.y && one.y + one.h <= y + h ? { ...one, y: tile.y } : one)) : others;
  const pushed: Tile[] = [moved];
  for (const one of inOrder(passed)) {
    let next = one;
    while (pushed.some((other) => overlap(next, other))) next = { ...next, y: next.y + 1 };
    pushed.push(next);
  }
  return settle(pushed);
}

/** With the tile in place of the one before or after it, and that one in its place. */
export function swap(tiles: readonly Tile[], id: string, step: 1 | -1): Tile[] {
  const ordered = inOrder(tiles);
  const at = ordered.findIndex((one) => one.id === id);
  const tile = ordered[at];
  const other = ordered[at + step];
  if (!tile || !other) return [...tiles];
  const [upper, lower] = step < 0 ? [tile, other] : [other, tile];
  if (upper.y === lower.y || (tile.y < other.y + other.h && other.y < tile.y + tile.h)) {
    // Beside each other.
    const x = Math.min(tile.x, other.x);
    const placed = [{ ...upper, x, y: Math.min(tile.y, other.y) }, { ...lower, x: x + upper.w, y: Math.min(tile.y, other.y) }];
    return settle(ordered.map((one) => placed.find(({ id }) => id === one.id) ?? one));
  }
  const top = Math.min(tile.y, other.y);
  const moved = ordered.map((one) => {
    if (one.id === upper.id) return { ...one, y: top };
    return one.id === lower.id ? { ...one, y: top + upper.h } : one;
  });
  return pushed(moved, upper.id);
}

/** Whatever overlaps goes below, one tile staying where it is. */
function pushed(tiles: readonly Tile[], id: string): Tile[] {
  const placed = tiles.filter((one) => one.id === id);
  for (const one of inOrder(tiles.filter((other) => other.id !== id))) {
    let next = one;
    while (placed.some((other) => overlap(next, other))) next = { ...next, y: next.y + 1 };
    placed.push(next);
  }
  return settle(placed);
}

/** Below all others. */
export function append(tiles: readonly Tile[], widget: Record<string, any>, size: { w: number; h: number }): Tile[] {
  const y = Math.max(0, ...tiles.map((one) => one.y + one.h));
  const id = newId();
  // Beside the last, where there is room.
  const last = inOrder(tiles).at(-1);
  const beside = last && last.x + last.w + size.w <= COLUMNS && last.y + last.h === y;
  const place = beside ? { x: last.x + last.w, y: last.y } : { x: 0, y };
  return settle([...tiles, { id, widget: { ...widget, id }, ...place, ...size }]);
}

export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(6)), (one) => one.toString(16).padStart(2, "0")).join("");
}
