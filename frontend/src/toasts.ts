export type Tone = "ok" | "warn" | "bad" | "info";
const icons: Record<Tone, string> = { ok: "circle-check", warn: "triangle-alert", bad: "circle-alert", info: "info" };
const LIFE_MS = 6000;

/** Says a sentence in the corner; errors stay until closed, the rest six seconds (longer under the pointer). */
export function toast(message: string, tone: Tone = "info"): void {
  const template = document.querySelector<HTMLTemplateElement>("#toast-template");
  const list = document.querySelector<HTMLElement>("#toasts");
  if (!message || !template || !list) return;
  const node = template.content.firstElementChild!.cloneNode(true) as HTMLElement;
  node.classList.add(`toast-${tone}`);
  node.querySelector("p")!.textContent = message;
  const use = node.querySelector("use");
  use?.setAttribute("href", (use.getAttribute("href") ?? "").replace(/#.*$/, `#${icons[tone]}`));
  list.append(node);
  keep(node, tone);
}

function keep(node: HTMLElement, tone: Tone): void {
  node.querySelector("button")?.addEventListener("click", () => node.remove());
  if (tone === "bad") return;
  let timer = window.setTimeout(() => node.remove(), LIFE_MS);
  node.addEventListener("pointerenter", () => window.clearTimeout(timer));
  node.addEventListener("pointerleave", () => {
    timer = window.setTimeout(() => node.remove(), LIFE_MS);
  });
}

interface ToastDetail {
  message?: string;
  tone?: Tone;
  toasts?: ToastDetail[];
  value?: string;
}

/** Toasts rendered with the page, and those an answer carries in HX-Trigger under "toast". */
export function startToasts(): void {
  document.querySelectorAll<HTMLElement>("#toasts > .toast").forEach((node) => {
    keep(node, (node.dataset.tone as Tone | undefined) ?? "info");
  });
  document.addEventListener("toast", (event) => {
    const detail = (event as CustomEvent<ToastDetail>).detail ?? {};
    for (const one of detail.toasts ?? [detail]) toast(one.message ?? one.value ?? "", one.tone);
  });
}
