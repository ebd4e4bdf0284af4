// What the type checker cannot see: code that a strict Content-Security-Policy would refuse.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const rules = [
  [/\beval\s*\(|new Function\s*\(/, "eval is refused by the policy"],
  [/\.innerHTML\s*=|insertAdjacentHTML|document\.write/, "build nodes instead of HTML text"],
  [/setAttribute\(\s*["']style["']/, "style attributes are refused by the policy: set element.style.x"],
  [/[\u4e00-\u9fff]/, "words belong to the templates, where they are translated"],
  [/\bconsole\.log\b/, "left-over log"],
];
const folder = fileURLToPath(new URL("../src/", import.meta.url));
let bad = 0;
for (const file of readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".ts"))) {
  readFileSync(folder + file, "utf8").split("\n").forEach((line, index) => {
    for (const [pattern, why] of rules) {
      if (!pattern.test(line)) continue;
      bad += 1;
      console.error(`src/${file}:${index + 1}: ${why}\n    ${line.trim()}`);
    }
  });
}
process.exit(bad ? 1 : 0);
