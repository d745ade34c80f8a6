import { render } from "preact";
import { App } from "./app.tsx";
import { guardHistory } from "./router.ts";

guardHistory();
render(<App />, document.getElementById("app")!);
