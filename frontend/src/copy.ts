import { toast } from "./toasts";

/** A button with data-copy puts that text (or, with data-copy-from, an element's text) on the clipboard. */
export function startCopying(): void {
  document.addEventListener("click", async (event) => {
    const button = (event.target as HTMLElement).closest<HTMLElement>("[data-copy], [data-copy-from]");
    if (!button) return;
    const { copy, copyFrom, copied } = button.dataset;
    const text = copy ?? document.querySelector(copyFrom ?? "")?.textContent?.trim() ?? "";
    try {
      await navigator.clipboard.writeText(text);
      toast(copied ?? document.body.dataset.msgCopied ?? "", "ok");
    } catch {
      toast(document.body.dataset.msgNotCopied ?? "", "warn");
    }
  });
}
