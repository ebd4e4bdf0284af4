import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";
import { iconSprite } from "./vite/icon-sprite";

// Relative base: the chunks find each other wherever STATIC_URL points.
export default defineConfig({
  base: "./",
  publicDir: false,
  plugins: [tailwindcss(), iconSprite()],
  build: {
    outDir: "dist",
    // dist also holds the test fonts; scripts/clean.mjs removes what a build wrote before.
    emptyOutDir: false,
    manifest: "manifest.json",
    target: ["chrome111", "safari16.4", "firefox128"],
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    rollupOptions: { input: { app: "src/main.ts" } },
  },
});
