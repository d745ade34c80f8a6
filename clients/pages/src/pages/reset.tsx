/** A link that sets a password, opened. */
import { ApiError } from "acumen-client";
import { useState } from "preact/hooks";
import { useToken } from "../link.ts";
import { call } from "../session.ts";
import { checkPassword, faultsOf, PASSWORD_RULES, useSubmit } from "../submit.ts";
import { TextField } from "../ui/field.tsx";
import { Entry, Refused } from "./entry.tsx";
import { DeadLink, NoToken } from "./join.tsx";

export function ResetPage({ done }: { done: () => void }) {
  const token = useToken();
  const [password, setPassword] = useState("");
  const { busy, error, submit } = useSubmit(async () => {
    checkPassword("new", password);
    await call("POST", "/account/password/reset", { token, new: password });
    done();
  });
  if (!token) return <NoToken />;
  if (error instanceof ApiError && error.status === 410) return <DeadLink />;
  const faults = faultsOf(error, "new");
  return (
    <Entry title="Set a new password">
      <div class="card">
        <form onSubmit={submit} noValidate>
          <TextField
            id="new" label="New password" type="password" value={password} set={setPassword} error={faults.new}
            hint={PASSWORD_RULES} autocomplete="new-password"
          />
          <Refused>{faults[""]}</Refused>
          <button type="submit" class="main" disabled={busy}>
            Set it
          </button>
          <p class="hint">All your sessions end. You log in with the new password then.</p>
        </form>
      </div>
    </Entry>
  );
}
