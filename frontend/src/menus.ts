const OPEN = "details.menu-host[open], details.info[open]";
const EDGE = 8;
const FRAMES = ".table-wrap, .board";

function openOnes(): NodeListOf<HTMLDetailsElement> {
  return document.querySelectorAll<HTMLDetailsElement>(OPEN);
}

/** Keeps a panel inside the window: a menu that would leave it on the left opens to the right. Inside a scrolling table or board it is
 *  fixed to the window, which the frame cannot clip. */
function place(details: HTMLDetailsElement): void {
  const panel = details.querySelector<HTMLElement>(".info-pop, .menu-pop");
  if (!panel) return;
  panel.classList.remove("flip");
  if (details.closest(FRAMES)) {
    const anchor = details.getBoundingClientRect();
    const left = Math.min(anchor.left - EDGE, window.innerWidth - panel.offsetWidth - EDGE);
    const below = anchor.bottom + 4;
    const fits = below + panel.offsetHeight < window.innerHeight - EDGE;
    Object.assign(panel.style, {
      position: "fixed",
      right: "auto",
      left: `${Math.max(EDGE, left)}px`,
      top: `${fits ? below : Math.max(EDGE, anchor.top - panel.offsetHeight - 4)}px`,
    });
  } else if (panel.matches(".info-pop")) {
    panel.classList.toggle("flip", panel.getBoundingClientRect().right > window.innerWidth - EDGE);
  } else if (panel.getBoundingClientRect().left < EDGE) {
    panel.classList.add("menu-left");
  }
}

function closeDialogs(target: HTMLElement): void {
  if (target.closest("[data-close-dialog]")) target.closest("dialog")?.close();
  if (target instanceof HTMLDialogElement && target.matches(".drawer")) target.close(); // a click on the backdrop
}

/** Menus and definitions are <details>; only one is open, Esc and a click elsewhere close it. Dialogs open by id. */
export function startMenus(): void {
  document.addEventListener(
    "toggle",
    (event) => {
      const details = event.target as HTMLDetailsElement;
      if (!details.matches?.(OPEN)) return;
      openOnes().forEach((other) => {
        if (other !== details && !other.contains(details)) other.open = false;
      });
      place(details);
    },
    true,
  );
  document.addEventListener("click", (event) => {
    const target = event.target as HTMLElement;
    openOnes().forEach((details) => {
      if (!details.contains(target)) details.open = false;
    });
    const opener = target.closest<HTMLElement>("[data-open-dialog]");
    if (opener) document.querySelector<HTMLDialogElement>(`#${opener.dataset.openDialog}`)?.showModal();
    closeDialogs(target);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    openOnes().forEach((details) => {
      details.open = false;
      details.querySelector("summary")?.focus();
    });
  });
  // What is fixed to the window would stay behind when its table moves.
  const letGo = (event: Event) => {
    openOnes().forEach((details) => {
      const inTable = details.closest(FRAMES);
      if (inTable && !details.querySelector(".info-pop, .menu-pop")?.contains(event.target as Node)) details.open = false;
    });
  };
  document.addEventListener("scroll", letGo, { capture: true, passive: true });
}
