// Runs named operations one after another and collects each one's answer, or the error it was rejected with.
'use strict';

/**
 * @param {(job: object) => Record<string, () => unknown>} operationsOf  from the job to what is to be run
 * Reads the job as JSON from standard input and prints {"operation": {"answer": ...} | {"error": {...}}}.
 */
async function run(operationsOf) {
  const job = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
  const report = {};
  for (const [name, operation] of Object.entries(operationsOf(job))) {
    try {
      report[name] = { answer: await operation() };
    } catch (error) {
      report[name] = { error: { code: error.code, message: String(error.message || error) } };
    }
  }
  process.stdout.write(JSON.stringify(report));
}

module.exports = { run };
