/** One's own sessions, and ending them. */
import { useState } from "preact/hooks";
import { useLoaded } from "../../loading.ts";
import { call } from "../../session.ts";
import { Loading, Problem } from "../../ui/states.tsx";
import { shownTime } from "../../zones.ts";

interface Listed {
  id: string;
  created_at: string;
  device: string;
  current: boolean;
}

const PATH = "/account/sessions";

export function OwnSessions({ say }: { say: (text: string) => void }) {
  const { value, error, reload } = useLoaded(() => call<Listed[]>("GET", PATH), []);
  const [failed, setFailed] = useState<unknown>(null);
  if (error) return <Problem error={error} retry={reload} />;
  if (!value) return <Loading what="your sessions" />;
  const end = (ids: string[], said: string) => {
    setFailed(null);
    Promise.all(ids.map((id) => call("DELETE", `${PATH}/${id}`)))
      .then(() => say(said), setFailed)
      .then(reload);
  };
  const others = value.filter(({ current }) => !current).map(({ id }) => id);
  return (
    <>
      {failed !== null && <Problem error={failed} />}
      <ul class="list">
        {value.map((one) => (
          <li key={one.id}>
            <div class="grow">
              <p class="name" title={one.device}>
                {deviceOf(one.device)}
              </p>
              <p class="small">since {shownTime(one.created_at)}</p>
            </div>
            {one.current ? (
              <span class="badge">this one</span>
            ) : (
              <button type="button" class="quiet" aria-label={`End the session of ${deviceOf(one.device)} since ${shownTime(one.created_at)}`}
                onClick={() => end([one.id], "The session has ended.")}>
                End
              </button>
            )}
          </li>
        ))}
      </ul>
      {others.length > 1 && (
        <p>
          <button type="button" onClick={() => end(others, "All your other sessions have ended.")}>
            End all others
          </button>
        </p>
      )}
    </>
  );
}

const BROWSERS = { "Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari" };
const SYSTEMS = { iPhone: "iPhone", iPad: "iPad", Android: "Android", Windows: "Windows", "Mac OS": "macOS", Linux: "Linux" };

/** `Firefox on Linux`, where the device says so; else its own words. */
function deviceOf(agent: string): string {
  const named = (names: Record<string, string>) => Object.entries(names).find(([mark]) => agent.includes(mark))?.[1];
  const browser = named(BROWSERS);
  const system = named(SYSTEMS);
  return browser && system ? `${browser} on ${system}` : agent || "Unknown";
}
