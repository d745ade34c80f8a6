/** What is asked or sent, as programs write it. */
import type { Question } from "acumen-client";

const server = () => location.origin;

/** Within single quotes of a shell. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Where the result of a saved query is. */
export function resultAddress(project: string, name: string): string {
  return `${server()}/3.0/projects/${project}/queries/saved/${encodeURIComponent(name)}/result`;
}

/** What a key may do, each in several languages. */
export function keySnippets(project: string, key: string, permitted: string[], of: { collection: string; saved: string }) {
  const found: Record<string, Record<string, string>> = {};
  if (permitted.includes("queries")) {
    const question = { analysis_type: "count", event_collection: of.collection, timeframe: "this_7_days" };
    found["Ask a question"] = askSnippets(project, question, key);
  }
  if (permitted.includes("saved_queries") || permitted.includes("cached_queries")) {
    found["Read a saved query"] = savedSnippets(project, of.saved, key);
  }
  if (permitted.includes("writes")) found["Send an event"] = sendSnippets(project, key, of.collection, { example: true });
  return found;
}

function savedSnippets(project: string, name: string, key: string): Record<string, string> {
  const { python, javaScript } = clients(project, key);
  return {
    curl: `curl ${quoted(resultAddress(project, name))} \\\n  -H ${quoted(`Authorization: ${key}`)}`,
    Python: [...python, `print(client.saved_queries.result(${JSON.stringify(name)}))`].join("\n"),
    JavaScript: [...javaScript, `const answer = await client.savedQueries.result(${JSON.stringify(name)});`, "console.log(answer.result);"].join("\n"),
  };
}

/** How a program begins that reads with a key; without one it is in the environment. */
function clients(project: string, key?: string) {
  const needs = key === undefined ? "; needs ACUMEN_READ_KEY" : "";
  const [url, id, given] = [server(), project, key].map((one) => JSON.stringify(one));
  return {
    python: [
      `# pip install ./clients/python${needs}`,
      ...(key === undefined ? ["import os"] : []),
      "from acumen_client import Acumen",
      "",
      `client = Acumen(${url}, project_id=${id}, read_key=${given ?? 'os.environ["ACUMEN_READ_KEY"]'})`,
    ],
    javaScript: [
      `// npm install ./clients/js${needs}`,
      'import { Acumen } from "acumen-client";',
      "",
      `const client = new Acumen({ url: ${url}, projectId: ${id}, readKey: ${given ?? "process.env.ACUMEN_READ_KEY"} });`,
    ],
  };
}

/** JSON as Python writes it. */
function python(value: unknown): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value as object);
  return `{${entries.map(([name, inner]) => `${JSON.stringify(name)}: ${python(inner)}`).join(", ")}}`;
}

const json = (value: unknown) => JSON.stringify(value, null, 2);

export function askSnippets(project: string, question: Question, key?: string): Record<string, string> {
  const { analysis_type: analysis, ...parameters } = question;
  const path = `${server()}/3.0/projects/${project}/queries/${analysis}`;
  const header = key === undefined ? '"Authorization: $ACUMEN_READ_KEY"' : quoted(`Authorization: ${key}`);
  const { python, javaScript } = clients(project, key);
  return {
    curl: `curl ${path} \\\n  -H ${header} -H 'Content-Type: application/json' \\\n  -d ${quoted(json(parameters))}`,
    Python: [...python, pythonCall(analysis, parameters), "print(answer)"].join("\n"),
    JavaScript: [
      ...javaScript,
      `const answer = await client.query(${JSON.stringify(analysis)}, ${json(parameters)});`,
      "console.log(answer.result);",
    ].join("\n"),
  };
}

function pythonCall(analysis: string, parameters: Record<string, unknown>): string {
  const { event_collection, target_property, percentile, steps, ...named } = parameters;
  const placed = [event_collection, target_property, percentile, steps].filter((one) => one !== undefined);
  const words = Object.entries(named).map(([name, value]) => `${name}=${python(value)}`);
  return `answer = client.${analysis}(\n${[...placed.map(python), ...words].map((one) => `    ${one},\n`).join("")})`;
}

export function sendSnippets(project: string, key: string, collection: string, event: object) {
  const path = `${server()}/3.0/projects/${project}/events/${encodeURIComponent(collection)}`;
  const text = JSON.stringify(event);
  return {
    curl: `curl ${path} \\\n  -H 'Authorization: ${key}' -H 'Content-Type: application/json' \\\n  -d ${quoted(text)}`,
    Python: [
      "# pip install ./clients/python",
      "from acumen_client import Acumen",
      "",
      `client = Acumen(${JSON.stringify(server())}, project_id=${JSON.stringify(project)},`,
      `                write_key=${JSON.stringify(key)})`,
      `client.record(${JSON.stringify(collection)}, ${python(event)})`,
    ].join("\n"),
    JavaScript: [
      "// npm install ./clients/js",
      'import { Acumen } from "acumen-client";',
      "",
      `const client = new Acumen({ url: ${JSON.stringify(server())}, projectId: ${JSON.stringify(project)},`,
      `                            writeKey: ${JSON.stringify(key)} });`,
      `await client.record(${JSON.stringify(collection)}, ${text});`,
    ].join("\n"),
    "Your web site": [
      "<script>",
      '  window.acumen = window.acumen || ["init", "track", "set", "flush", "optOut", "optIn"].reduce((a, name) => {',
      "    a[name] = (...values) => a.q.push([name, values, Date.now()]);",
      "    return a;",
      "  }, { q: [] });",
      `  acumen.init({ url: ${JSON.stringify(server())}, projectId: ${JSON.stringify(project)}, writeKey: ${JSON.stringify(key)} });`,
      "</script>",
      `<script async src="${server()}/clients/auto.js"></script>`,
    ].join("\n"),
  };
}
