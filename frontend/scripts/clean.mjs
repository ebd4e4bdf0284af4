// Removes what an earlier build wrote; the copied test fonts stay.
import { rmSync } from "node:fs";

for (const path of ["dist/assets", "dist/manifest.json"]) {
  rmSync(new URL(`../${path}`, import.meta.url), { recursive: true, force: true });
}
