import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";
import names from "../icons.json";

const folder = join(dirname(createRequire(import.meta.url).resolve("lucide-static/package.json")), "icons");

function symbol(name: string): string {
  const svg = readFileSync(join(folder, `${name}.svg`), "utf8");
  const inner = svg.replace(/<!--.*?-->/gs, "").replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "");
  return `<symbol id="${name}" viewBox="0 0 24 24">${inner.replace(/\s*\n\s*/g, "")}</symbol>`;
}

/** One hashed SVG file with the icons named in icons.json, and only those; and the mark of the browser tab. */
export function iconSprite(): Plugin {
  return {
    name: "icon-sprite",
    generateBundle() {
      const source = `<svg xmlns="http://www.w3.org/2000/svg">${names.map(symbol).join("")}</svg>`;
      this.emitFile({ type: "asset", name: "icons.svg", originalFileName: "icons.svg", source });
      this.emitFile({ type: "asset", name: "mark.svg", originalFileName: "mark.svg", source: readFileSync("src/mark.svg") });
    },
  };
}
