// Prints the path of an unpacked Chromium for the browser tests (Linux only; the archive comes with the npm package).
// On other systems, or when unpacking fails, it says why on stderr and exits 1.
import chromium from "@sparticuz/chromium";

if (process.platform !== "linux") {
  console.error("The packaged Chromium runs on Linux only; install Chromium or Chrome on this machine.");
  process.exit(1);
}
console.log(await chromium.executablePath());
