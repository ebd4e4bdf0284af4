const pop = "details.menu-host[open], details.info[open]";

function place(details: HTMLDetailsElement): void {
  const panel = details.querySelector<HTMLElement>(".info-pop");
  if (!panel) return;
  panel.classList.remove("flip");
  panel.classList.toggle("flip", panel.getBoundingClientRect().right > window.innerWidth - 8);
}

/** Menus and definitions are <details>; only one is open, Esc and a click elsewhere close it. Dialogs open by id. */
export function startMenus(): void {
  document.addEventListener(
    "toggle",
    (event) => {
      const details = event.target as HTMLDetailsElement;
      if (!details.matches?.(pop)) return;
      document.querySelectorAll<HTMLDetailsElement>(pop).forEach((other) => {
        if (other !== details && !other.contains(details)) other.open = false;
      });
      place(details);
    },
    true,
  );
  document.addEventListener("click", (event) => {
    const target = event.target as HTMLElement;
    document.querySelectorAll<HTMLDetailsElement>(pop).forEach((details) => {
      if (!details.contains(target)) details.open = false;
    });
    const opener = target.closest<HTMLElement>("[data-open-dialog]");
    if (opener) document.querySelector<HTMLDialogElement>(`#${opener.dataset.openDialog}`)?.showModal();
    if (target.closest("[data-close-dialog]")) target.closest("dialog")?.close();
    if (target instanceof HTMLDialogElement && target.matches(".drawer")) target.close(); // the backdrop
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelectorAll<HTMLDetailsElement>(pop).forEach((details) => {
      details.open = false;
      details.querySelector("summary")?.focus();
    });
  });
}
