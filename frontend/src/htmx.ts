import htmx from "htmx.org/dist/htmx.esm.js";
import { toast } from "./toasts";

interface ResponseError extends CustomEvent {
  detail: { xhr: XMLHttpRequest };
}

/** What to say for a status, worded by the template in data attributes of <body>. */
function sentence(status: number): string {
  const words = document.body.dataset;
  if (status === 403) return words.msgForbidden ?? "";
  if (status === 404) return words.msgGone ?? "";
  if (status === 429) return words.msgBusy ?? "";
  return words.msgServer ?? "";
}

/** htmx under a strict policy: no eval, no injected style, no scripts run from a swapped fragment. */
export function startHtmx(): void {
  Object.assign(htmx.config, {
    allowEval: false,
    allowScriptTags: false,
    includeIndicatorStyles: false,
    attributesToSettle: ["class", "width", "height"], // a style attribute would be refused
    historyCacheSize: 0, // personal data does not stay in the browser's storage
    refreshOnHistoryMiss: true,
    scrollIntoViewOnBoost: false,
    timeout: 20000,
    defaultSwapStyle: "outerHTML",
    responseHandling: [
      { code: "204", swap: false },
      { code: "[23]..", swap: true },
      { code: "422", swap: true },
      { code: "[45]..", swap: false, error: true },
    ],
  });
  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = (event as ResponseError).detail;
    if (xhr.status === 401) window.location.reload(); // the log-in page takes over, and comes back here
    else toast(sentence(xhr.status), "bad");
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, () => toast(document.body.dataset.msgNetwork ?? "", "bad"));
  }
  // After a refused form, the first wrong field has the focus.
  document.addEventListener("htmx:afterSettle", (event) => {
    (event.target as HTMLElement | null)?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  });
}
