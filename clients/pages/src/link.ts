/** The token of a one-time link: taken out of the address, so that it stays in no history. */
import { useEffect, useState } from "preact/hooks";

/** Kept until the page is loaded anew, for who logs in first and comes back. */
const kept: Record<string, string> = {};

function take(): string {
  const { pathname, hash } = location;
  if (hash.length > 1) {
    kept[pathname] = hash.slice(1);
    history.replaceState(history.state, "", pathname);
  }
  return kept[pathname] ?? "";
}

export function useToken(): string {
  const [token, setToken] = useState(take);
  useEffect(() => {
    const changed = () => setToken(take());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return token;
}
