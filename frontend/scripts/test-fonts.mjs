// Copies the packaged test fonts to dist/test-fonts, for browser tests on machines without Chinese fonts.
// Pages load them only when the setting UI_TEST_FONTS is on.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const out = fileURLToPath(new URL("../dist/test-fonts/", import.meta.url));
const families = [
  ["@fontsource-variable/noto-sans-sc", "wght.css", /wght-normal\.woff2$/],
  ["@fontsource/noto-emoji", "400.css", /400-normal\.woff2$/],
];

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "files"), { recursive: true });
let css = "";
for (const [name, sheet, wanted] of families) {
  const folder = dirname(require.resolve(`${name}/package.json`));
  css += readFileSync(join(folder, sheet), "utf8").replace(/,\s*url\([^)]*\.woff\)\s*format\('woff'\)/g, "");
  cpSync(join(folder, "files"), join(out, "files"), {
    recursive: true,
    filter: (path) => !/\.woff2?$/.test(path) || wanted.test(path),
  });
}
css += ':root { --font-sans: "Noto Sans SC Variable", "Noto Emoji", sans-serif; }\n';
writeFileSync(join(out, "index.css"), css);
