// A job a line: describes, draws and tables an answer with the built drawing core, in a context that has no DOM.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import vm from "node:vm";

const context = vm.createContext({});
vm.runInContext(readFileSync(process.argv[2], "utf8") + "\n;globalThis.Draw = AcumenDraw;", context);
const { Draw } = context;

function done({ answer, options, drawings, csv, themes, widths }) {
  if (themes) return { themes: Draw.themes };
  if (widths) return { widths: widths.map(([text, bold]) => Draw.measureInter(text, 1000, bold)) };
  try {
    const description = Draw.describe(answer, options);
    const drawn = (drawings ?? []).map((how) => Draw.drawing(description, how));
    const again = (drawings ?? []).map((how) => Draw.draw(JSON.parse(JSON.stringify(description)), how));
    return {
      description, drawn, same: again.every((svg, at) => svg === drawn[at].svg),
      table: Draw.tableOf(description), csv: csv ? Draw.csvOf(description) : null,
    };
  } catch (error) {
    return { error: error.message, name: error.name, stack: error.stack };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(done(JSON.parse(line))) + "\n");
}
