/** The drawer that holds the navigation under 1024 px: opened by [data-nav-toggle], closed by Esc, scrim or a choice. */
export function startNavigation(): void {
  const toggle = document.querySelector<HTMLButtonElement>("[data-nav-toggle]");
  const sidebar = document.querySelector<HTMLElement>("#sidebar");
  if (!toggle || !sidebar) return;
  const show = (open: boolean) => {
    document.body.classList.toggle("nav-open", open);
    toggle.setAttribute("aria-expanded", String(open));
    document.querySelector("#page-column")?.toggleAttribute("inert", open);
    if (open) sidebar.querySelector<HTMLElement>("a")?.focus();
    else toggle.focus();
  };
  toggle.addEventListener("click", () => show(true));
  document.querySelectorAll("[data-nav-close]").forEach((closer) => closer.addEventListener("click", () => show(false)));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.body.classList.contains("nav-open")) show(false);
  });
  // A window that grows past the breakpoint must not keep a page that nobody can reach.
  window.matchMedia("(min-width: 1024px)").addEventListener("change", (query) => {
    if (!query.matches || !document.body.classList.contains("nav-open")) return;
    document.body.classList.remove("nav-open");
    toggle.setAttribute("aria-expanded", "false");
    document.querySelector("#page-column")?.removeAttribute("inert");
  });
}
