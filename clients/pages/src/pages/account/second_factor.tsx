/** The second factor: turned on with an app, and off with the password. */
import { useState } from "preact/hooks";
import { call } from "../../session.ts";
import { faultsOf, FieldFault, ofPassword, useSubmit } from "../../submit.ts";
import { Code } from "../../ui/code.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/field.tsx";
import { Refused } from "../entry.tsx";

interface Offer {
  secret: string;
  uri: string;
  /** The address as an SVG of a QR code. */
  picture: string;
}

interface Props {
  on: boolean;
  renew: () => Promise<void>;
  say: (text: string) => void;
}

export function SecondFactor({ on, renew, say }: Props) {
  const [codes, setCodes] = useState<string[] | null>(null);
  const [offer, setOffer] = useState<Offer | null>(null);
  const [ending, setEnding] = useState(false);
  const [beginning, setBeginning] = useState(false);
  if (codes) return <RecoveryCodes codes={codes} close={() => setCodes(null)} />;
  if (on) {
    return (
      <>
        <p>It is on: to log in takes your password, and a code of your app.</p>
        <button type="button" onClick={() => setEnding(true)}>
          Turn it off
        </button>
        {ending && <Ending close={() => setEnding(false)} done={() => (say("The second factor is off."), renew())} />}
      </>
    );
  }
  if (offer) {
    const confirmed = async (given: string[]) => {
      setCodes(given);
      setOffer(null);
      await renew();
    };
    return <Confirm offer={offer} confirmed={confirmed} close={() => setOffer(null)} />;
  }
  return (
    <>
      <p>With it, your password alone opens nothing: to log in also takes a code of an app on your phone.</p>
      <button type="button" onClick={() => setBeginning(true)}>
        Turn it on
      </button>
      {beginning && <Beginning close={() => setBeginning(false)} begun={setOffer} />}
    </>
  );
}

interface ConfirmProps {
  offer: Offer;
  confirmed: (codes: string[]) => Promise<void>;
  close: () => void;
}

function Confirm({ offer, confirmed, close }: ConfirmProps) {
  const [code, setCode] = useState("");
  const { busy, error, submit } = useSubmit(async () => {
    if (!code.trim()) throw new FieldFault("code", "Enter the code that the app shows.");
    const answer = call<{ recovery_codes: string[] }>("PUT", "/account/two-factor", { code });
    await confirmed((await answer.catch(ofPassword("code"))).recovery_codes);
  });
  const faults = faultsOf(error, "code");
  return (
    <form onSubmit={submit} noValidate>
      <p>
        Scan this with an authenticator app on your phone, and enter the code that the app shows. On the phone itself open
        the <a href={offer.uri}>address</a> instead.
      </p>
      <img class="qr" src={`data:image/svg+xml,${encodeURIComponent(offer.picture)}`} alt="QR code of the address below" />
      <p class="hint">Or give the app this secret by hand:</p>
      <Code text={offer.secret} what="the secret" />
      <p class="hint">The same as an address, for apps that take one:</p>
      <Code text={offer.uri} what="the address" />
      <div class="gap" />
      <TextField
        id="code" label="Code of six digits" value={code} set={setCode} error={faults.code} autocomplete="one-time-code"
      />
      <Refused>{faults[""]}</Refused>
      <p class="row">
        <button type="submit" class="main" disabled={busy}>
          Confirm
        </button>
        <button type="button" class="quiet" onClick={close}>
          Cancel
        </button>
      </p>
    </form>
  );
}

function RecoveryCodes({ codes, close }: { codes: string[]; close: () => void }) {
  return (
    <>
      <p role="status">It is on. Keep these recovery codes: each lets you in once if you lose the app. They are shown now only.</p>
      <Code text={codes.join("\n")} what="the recovery codes" />
      <p class="row gap">
        <button type="button" class="main" onClick={close}>
          I have kept them
        </button>
      </p>
    </>
  );
}

function Beginning({ close, begun }: { close: () => void; begun: (offer: Offer) => void }) {
  const [password, setPassword] = useState("");
  const act = async () => {
    const offer = await call<Offer>("POST", "/account/two-factor", { password });
    close();
    begun(offer);
  };
  return (
    <Dialog title="Turn the second factor on?" action="Go on" act={act} close={close}>
      <p>Next you scan a code with an authenticator app on your phone.</p>
      <TextField
        id="begin-password" label="Your password" type="password" value={password} set={setPassword}
        autocomplete="current-password" required
      />
    </Dialog>
  );
}

function Ending({ close, done }: { close: () => void; done: () => Promise<void> }) {
  const [password, setPassword] = useState("");
  const act = async () => {
    await call("DELETE", "/account/two-factor", { password });
    close();
    await done();
  };
  return (
    <Dialog title="Turn the second factor off?" action="Turn it off" danger act={act} close={close}>
      <p>Your password is enough to log in then. The recovery codes are void.</p>
      <TextField
        id="end-password" label="Your password" type="password" value={password} set={setPassword}
        autocomplete="current-password" required
      />
    </Dialog>
  );
}
