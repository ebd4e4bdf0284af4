import { startCombos } from "./combo";
import { startDragging } from "./builder-drag";

const BUILDER = "[data-builder]";
const PAUSE = 350; // after the last key, before people are counted again

/** What a swap would take from the person: where she is, what she has typed meanwhile, which lists she has open. */
interface Kept {
  id: string;
  value: string | null;
  open: string[];
}
let kept: Kept | null = null;
let pause = 0;

function isTyped(element: Element | null): element is HTMLInputElement | HTMLTextAreaElement {
  if (element instanceof HTMLTextAreaElement) return true;
  return element instanceof HTMLInputElement && !["checkbox", "radio", "hidden"].includes(element.type);
}

function keep(builder: HTMLElement): void {
  const active = builder.contains(document.activeElement) ? document.activeElement : null;
  const open = [...builder.querySelectorAll<HTMLDetailsElement>("details[open][id]")].map((one) => one.id);
  const id = (active as HTMLElement | null)?.dataset.stands ?? active?.id ?? "";
  kept = { id, value: isTyped(active) && !active.matches("[data-quiet]") ? active.value : null, open };
}

/** The control of an id; a searchable select is used through its button. */
function control(id: string): HTMLElement | null {
  return document.querySelector<HTMLElement>(`[data-stands="${CSS.escape(id)}"]`) ?? document.getElementById(id);
}

function giveBack(builder: HTMLElement): void {
  const was = kept;
  kept = null;
  was?.open.forEach((id) => {
    const details = document.getElementById(id);
    if (details instanceof HTMLDetailsElement) details.open = true;
  });
  const target = control(builder.dataset.focus || was?.id || "");
  if (!target) return;
  target.focus();
  if (builder.dataset.focus || was?.value == null || !isTyped(target) || target.value === was.value) return;
  target.value = was.value;
  target.dispatchEvent(new Event("input", { bubbles: true }));
}

/** The line of a folded list: what is ticked in it. */
function sayPicked(picks: HTMLElement): void {
  const said = picks.querySelector<HTMLElement>("[data-picked]");
  if (!said) return;
  const names = [...picks.querySelectorAll("label:has(:checked)")].map((label) => label.textContent?.trim() ?? "");
  said.textContent = names.join("、") || (said.dataset.none ?? "");
}

function find(box: HTMLInputElement): void {
  const words = box.value.trim().toLocaleLowerCase();
  const picks = box.closest<HTMLElement>("[data-picks]");
  let shown = 0;
  picks?.querySelectorAll<HTMLElement>(".picks-group").forEach((group) => {
    const inHeading = (group.getAttribute("aria-label") ?? "").toLocaleLowerCase().includes(words);
    let any = false;
    group.querySelectorAll<HTMLElement>("label").forEach((label) => {
      label.hidden = !inHeading && !(label.textContent ?? "").toLocaleLowerCase().includes(words);
      any ||= !label.hidden;
    });
    group.hidden = !any;
    shown += Number(any);
  });
  const nothing = picks?.querySelector<HTMLElement>("[data-find-nothing]");
  if (nothing) nothing.hidden = shown > 0;
}

function edited(event: Event): void {
  const target = event.target as HTMLElement;
  const builder = target.closest?.<HTMLElement>(BUILDER);
  if (!builder) return;
  if (target.matches("[data-find]")) return find(target as HTMLInputElement);
  const picks = target.closest<HTMLElement>("[data-picks]");
  if (picks) sayPicked(picks);
  if (target.matches("[hx-post], [data-quiet]") || target.closest("#audience, .combo-pop")) return;
  window.clearTimeout(pause);
  pause = window.setTimeout(() => {
    document.getElementById("audience")?.dispatchEvent(new Event("refresh"));
  }, PAUSE);
}

/** Alt and an arrow, on a handle or a button of a row, press the row's own button for that way. */
function steer(event: KeyboardEvent): void {
  const step = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "out", ArrowRight: "into" }[event.key];
  const target = event.target as HTMLElement;
  if (!step || !event.altKey || !target.closest?.(BUILDER) || target.matches("input:not([type=checkbox]), textarea, select")) return;
  const node = target.closest<HTMLElement>("[data-node]");
  const tools = node?.querySelector<HTMLElement>(":scope > .condition-row > .condition-tools, :scope > legend > .condition-tools");
  if (!tools) return;
  event.preventDefault();
  tools.querySelector<HTMLButtonElement>(`[data-step="${step}"]`)?.click();
}

/** The builder of conditions: every button works without this; here are the drag, the keys, the search, and the count while typing. */
export function startBuilder(): void {
  document.documentElement.classList.add("has-scripts");
  document.addEventListener("input", edited);
  document.addEventListener("change", edited);
  document.addEventListener("keydown", steer);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.target as HTMLElement).matches?.("[data-find]")) event.preventDefault();
  });
  // A count of a tree that is changing is of no use any more.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const from = event.target as HTMLElement;
    if (!from.closest?.(BUILDER) || from.closest("#audience")) return;
    window.clearTimeout(pause);
    document.getElementById("audience")?.dispatchEvent(new Event("htmx:abort"));
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const target = (event as CustomEvent<{ target: HTMLElement }>).detail.target;
    if (target.matches(BUILDER)) keep(target);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    const builder = (event.target as HTMLElement).closest?.<HTMLElement>(BUILDER);
    if (!builder || builder !== event.target) return;
    startCombos(builder);
    giveBack(builder);
  });
  startCombos(document);
  startDragging();
}
