// Validates AsyncAPI documents with the reference parser, references to other files included.
// usage: node validate.mjs FILE...   Every problem on stderr; ends with 1 if one of them is an error.
import { Parser, fromFile } from '@asyncapi/parser';

const ERROR = 0;
// A newer minor version is no reason to change a contract.
const IGNORED = new Set(['asyncapi-latest-version']);

const parser = new Parser();
let failed = process.argv.length < 3;
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await fromFile(parser, file).parse();
  for (const { severity, code, message, path } of diagnostics.filter(({ code }) => !IGNORED.has(code))) {
    console.error(`${file}: ${severity === ERROR ? 'error' : 'warning'}: ${path.join('.')}: ${message} (${code})`);
    failed ||= severity === ERROR;
  }
  failed ||= !document;
  if (document) {
    console.log(`${file}: ${document.channels().all().length} channels, ${document.operations().all().length} operations`);
  }
}
process.exit(failed ? 1 : 0);
