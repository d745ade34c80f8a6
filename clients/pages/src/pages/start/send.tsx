/** How events are sent, for as long as the project lives. */
import { SendIt } from "./first_event.tsx";

export function SendPage() {
  return (
    <>
      <h1>Send events</h1>
      <p class="lead">
        An event is a fact with a name and a few properties: somebody saw a page, bought something, signed up. Put the name of your collection and your own
        properties in place of those of the example. <a href="/docs">The documentation of the API</a> has all calls.
      </p>
      <SendIt />
    </>
  );
}
