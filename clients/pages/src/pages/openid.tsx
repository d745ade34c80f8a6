/** Log in with the provider that the server has, if it has one: the button, and what is said to who comes back. */
import { useEffect, useState } from "preact/hooks";
import { useLoaded } from "../loading.ts";
import { beginOpenId, openIdLabel } from "../session.ts";
import { textOf } from "../ui/states.tsx";
import { Refused } from "./entry.tsx";

/** What `openid` in the address says once the session has begun. */
export const ENTERED = "entered";

const FAULTS: Record<string, string> = {
  cancelled: "You did not log in there, so you are not logged in here.",
  expired: "This log-in took too long, was used already, or began in another browser. Begin again.",
  provider: "The log-in there does not work at the moment. Try again shortly, or tell who runs this server.",
  unproven: "What came back from there cannot be trusted, so you are not logged in. Tell who runs this server.",
  unverified: "You have no e-mail address there that is verified, so it is not certain who you are.",
  domain: "Your e-mail address is not of a domain that may log in here.",
  unknown: "Nobody with your e-mail address is known here. Ask an owner for an invitation.",
  removed: "You were removed from here. Ask an owner for an invitation.",
  taken: "Your e-mail address is known here by another account of that service. Ask who runs this server.",
  invitation: "The invitation was used or withdrawn, has expired, or is for another e-mail address.",
  busy: "Too many log-ins from your network have failed. Try again in a quarter of an hour.",
};

/** The words for a log-in that failed; empty for none. */
export function faultOf(code: string | null): string {
  if (!code || code === ENTERED) return "";
  return Object.hasOwn(FAULTS, code) ? FAULTS[code]! : "The log-in failed. Begin again.";
}

interface Props {
  /** The page to show afterwards. */
  next?: string | null;
  /** The token of an invitation to accept. */
  invitation?: string;
  /** What stands between the other way and this one. */
  or?: string;
}

/** Nothing where the server has no such log-in. */
export function OpenIdButton({ next, invitation, or = "or" }: Props) {
  const { value: label } = useLoaded(openIdLabel, []);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    // Who comes back with the browser's button finds the page as it was left.
    const shown = () => setBusy(false);
    addEventListener("pageshow", shown);
    return () => removeEventListener("pageshow", shown);
  }, []);
  if (!label) return null;
  const begin = () => {
    setBusy(true);
    setError(null);
    beginOpenId({ next, invitation }).then(
      (address) => location.assign(address),
      (failure: unknown) => {
        setBusy(false);
        setError(failure);
      },
    );
  };
  return (
    <div class="other-way">
      <p class="or">{or}</p>
      <button type="button" disabled={busy} onClick={begin}>
        {busy ? "One moment …" : label}
      </button>
      <Refused>{error === null ? "" : textOf(error)}</Refused>
    </div>
  );
}
