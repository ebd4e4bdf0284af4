// Prints what a first visit downloads, gzipped: the entry script and style, then the lazy charts.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("manifest.json", dist), "utf8"));
const gzipped = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
for (const [key, entry] of Object.entries(manifest)) {
  for (const file of [entry.file, ...(entry.css ?? [])]) {
    console.log(`${key}\t${file}\t${(gzipped(file) / 1024).toFixed(1)} KB gzipped`);
  }
}
