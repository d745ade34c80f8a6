// Draws openapi.json as a page. Texts are set as text, never as HTML.
"use strict";

const METHODS = ["get", "post", "put", "delete"];
const DEPTH_MAX = 6;

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.append(...marked(text));
  return made;
}

/** The text with what stands in backticks as code. */
function marked(text) {
  return text.split("`").map((part, number) => {
    if (number % 2 === 0) return document.createTextNode(part);
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  });
}

/** The text's paragraphs, which blank lines divide. */
function paragraphs(text) {
  return text.trim().split(/\n\s*\n/).map((part) => element("p", part));
}

function row(name, ...cells) {
  const made = document.createElement("tr");
  for (const cell of cells) {
    const one = document.createElement(name);
    one.append(...(Array.isArray(cell) ? cell : marked(cell)));
    made.append(one);
  }
  return made;
}

function table(headings, rows) {
  const made = document.createElement("table");
  const body = document.createElement("tbody");
  body.append(row("th", ...headings), ...rows);
  made.append(body);
  return made;
}

class Page {
  constructor(description) {
    this.description = description;
  }

  resolved(value) {
    let found = value;
    while (found && found.$ref) {
      found = found.$ref.slice(2).split("/").reduce((part, name) => part[name], this.description);
    }
    return found;
  }

  /** What a schema takes, in a few words. */
  type(schema) {
    if (schema.$ref) return schema.$ref.split("/").pop();
    if ("const" in schema) return JSON.stringify(schema.const);
    if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
    for (const kind of ["anyOf", "oneOf"]) {
      if (schema[kind]) return schema[kind].map((one) => one.title || this.type(one)).join(" or ");
    }
    if (schema.type === "array") return `list of ${this.type(schema.items || {})}`;
    const bounds = [];
    for (const [name, word] of [["minimum", "from"], ["exclusiveMinimum", "above"], ["maximum", "to"]]) {
      if (name in schema) bounds.push(`${word} ${schema[name]}`);
    }
    const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type || "any JSON";
    return [type, ...bounds].join(" ");
  }

  /** The fields of a schema as a list of lists; null where it has none. */
  fields(schema, seen = []) {
    if (schema.$ref) {
      return seen.includes(schema.$ref) ? null : this.fields(this.resolved(schema), [...seen, schema.$ref]);
    }
    if (seen.length > DEPTH_MAX) return null;
    const lists = [];
    for (const one of [...(schema.anyOf || []), ...(schema.oneOf || [])]) lists.push(this.fields(one, seen));
    for (const name of ["items", "additionalProperties"]) {
      if (schema[name] && typeof schema[name] === "object") lists.push(this.fields(schema[name], seen));
    }
    const properties = Object.entries(schema.properties || {});
    if (properties.length) {
      const list = element("ul", "", "fields");
      for (const [name, one] of properties) {
        const item = document.createElement("li");
        const needed = (schema.required || []).includes(name) ? ", required" : "";
        item.append(element("code", name), element("span", ` ${this.type(one)}${needed}`, "type"));
        if (one.description) item.append(" ", ...marked(one.description));
        const below = this.fields(one, [...seen, name]);
        if (below) item.append(below);
        list.append(item);
      }
      lists.push(list);
    }
    const found = lists.filter(Boolean);
    if (!found.length) return null;
    const made = document.createElement("div");
    made.append(...found);
    return made;
  }

  content(content) {
    const made = document.createElement("div");
    for (const [kind, one] of Object.entries(content)) {
      const schema = one.schema || {};
      made.append(element("p", `\`${kind}\`: ${this.type(schema)}`));
      const fields = this.fields(schema);
      if (fields) made.append(fields);
    }
    return made;
  }

  parameters(operation) {
    const found = (operation.parameters || []).map((one) => this.resolved(one));
    if (!found.length) return [];
    const rows = found.map((one) => {
      const schema = one.schema || Object.values(one.content)[0].schema;
      const where = `${one.in}${one.required ? ", required" : ""}`;
      return row("td", [element("code", one.name)], where, this.type(schema), one.description || "");
    });
    return [element("h3", "Parameters"), table(["name", "in", "type", ""], rows)];
  }

  answers(operation) {
    const rows = Object.entries(operation.responses).map(([status, answer]) => {
      const good = Number(status) < 400 && answer.content;
      const about = marked(answer.description);
      return row("td", status, good ? [...about, this.content(answer.content)] : about);
    });
    return [element("h3", "Answers"), table(["status", ""], rows)];
  }

  examples(operation) {
    const found = operation["x-examples"] || [];
    if (!found.length) return [];
    const made = [
      element("h3", "Examples"),
      element("p", "Put your own values in the place of names in braces and of keys in capitals.", "note"),
    ];
    for (const one of found) {
      made.push(element("p", `${one.summary ? `${one.summary}: answered` : "Answered"} with ${one.status}`, "note"));
      const code = document.createElement("pre");
      code.tabIndex = 0;
      code.textContent = shell(one.request);
      const example = element("div", "", "example");
      example.append(code, copier(code));
      made.push(example);
    }
    return made;
  }

  /** Names and descriptions of the operation's parameters and of the fields of its body. */
  named(operation) {
    const parameters = (operation.parameters || []).map((one) => this.resolved(one));
    const bodies = Object.values(operation.requestBody ? operation.requestBody.content : {});
    const fields = bodies.flatMap((one) => Object.entries(this.resolved(one.schema || {}).properties || {}));
    const all = [...parameters.map((one) => [one.name, one]), ...fields];
    return all.map(([name, one]) => `${name} ${one.description || ""}`).join(" ");
  }

  operation(path, method, operation) {
    const made = document.createElement("details");
    made.id = operation.operationId;
    made.dataset.words = `${method} ${path} ${operation.summary}`.toLowerCase();
    made.dataset.more = `${made.dataset.words} ${operation.description || ""} ${this.named(operation)}`.toLowerCase();
    const summary = document.createElement("summary");
    summary.append(element("span", method.toUpperCase(), `method ${method}`), element("span", path, "path"));
    summary.append(element("span", operation.summary, "about"));
    made.append(summary);
    made.addEventListener("toggle", () => this.draw(made, operation), { once: true });
    // So that the address can be kept and passed on.
    made.addEventListener("toggle", () => made.open && history.replaceState(null, "", `#${made.id}`));
    return made;
  }

  /** What is inside, once it is opened. */
  draw(made, operation) {
    made.append(...paragraphs(operation.description || "").filter((one) => one.textContent));
    made.append(...this.parameters(operation));
    if (operation.requestBody) {
      made.append(element("h3", "Body"), this.content(operation.requestBody.content));
    }
    made.append(...this.answers(operation), ...this.examples(operation));
  }

  sections() {
    const paths = Object.entries(this.description.paths);
    return this.description.tags.map((tag) => {
      const section = document.createElement("section");
      section.id = `part-${tag.name.replace(/\W+/g, "-")}`;
      section.append(element("h2", tag.name), element("p", tag.description));
      for (const [path, item] of paths) {
        for (const method of METHODS) {
          if (item[method] && item[method].tags.includes(tag.name)) {
            section.append(this.operation(path, method, item[method]));
          }
        }
      }
      return section;
    });
  }
}

/** A request as it is typed into a shell. */
function shell(request) {
  const quoted = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;
  // Of braces only those of names to be replaced: curl takes others in an address for a pattern.
  const query = new URLSearchParams(request.query || {}).toString().replaceAll(/%7B(\w+)%7D/g, "{$1}");
  const lines = [`curl -X ${request.method} ${quoted(`${window.location.origin}${request.path}${query ? `?${query}` : ""}`)}`];
  if (request.key) lines.push(`-H ${quoted(`Authorization: ${request.key.toUpperCase()}_KEY`)}`);
  for (const [name, value] of Object.entries(request.headers || {})) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if ("body" in request) lines.push(`-d ${quoted(JSON.stringify(request.body))}`);
  return lines.join(" \\\n  ");
}

/** A button that copies the code. */
function copier(code) {
  const button = element("button", "Copy");
  button.type = "button";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      // Pages without TLS have no clipboard, but a selection can be copied.
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return button;
}

/** Shows the calls with all the words in name or summary or, where none has, in descriptions and parameters. */
function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const calls = [...document.querySelectorAll("details")];
  const having = (kind) => calls.filter((one) => words.every((word) => one.dataset[kind].includes(word)));
  const first = having("words");
  const found = new Set(first.length ? first : having("more"));
  for (const one of calls) one.hidden = !found.has(one);
  for (const section of document.querySelectorAll("section")) {
    section.hidden = !section.querySelector("details:not([hidden])");
  }
  const none = found.size === 0 ? `No call has ${words.length > 1 ? "all these words" : "this word"}.` : "";
  document.getElementById("found").textContent = none;
}

function openNamed() {
  const found = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!found) return;
  if (found.hidden || found.closest("[hidden]")) {
    document.getElementById("find").value = "";
    find("");
  }
  if (found instanceof HTMLDetailsElement) found.open = true;
  found.scrollIntoView();
}

async function start() {
  const state = document.getElementById("state");
  try {
    const answer = await fetch("openapi.json");
    if (!answer.ok) throw new Error(`The server answered with ${answer.status}. Load the page again.`);
    const page = new Page(await answer.json());
    document.getElementById("about").append(...paragraphs(page.description.info.description));
    const sections = page.sections();
    document.getElementById("parts").append(
      ...sections.map((section) => {
        const item = document.createElement("li");
        const link = element("a", section.querySelector("h2").textContent);
        link.href = `#${section.id}`;
        item.append(link);
        return item;
      }),
    );
    state.textContent = "";
    state.id = "found";
    state.after(...sections);
    document.getElementById("find").addEventListener("input", (event) => find(event.target.value));
    window.addEventListener("hashchange", openNamed);
    openNamed();
  } catch (error) {
    state.textContent = `The description could not be loaded. ${error.message}`;
  }
}

start();
