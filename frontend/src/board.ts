/** Dragging a card into another column presses the button that the card's own menu has for that column. */
export function startBoard(): void {
  let card: HTMLElement | null = null;
  const columnOf = (event: Event) => (event.target as HTMLElement).closest<HTMLElement>("[data-board-stage]");
  const clear = () => document.querySelectorAll(".board-column.is-over").forEach((one) => one.classList.remove("is-over"));
  const buttonFor = (column: HTMLElement | null) =>
    card?.querySelector<HTMLButtonElement>(`button[name="stage"][value="${column?.dataset.boardStage ?? ""}"]`) ?? null;

  document.addEventListener("dragstart", (event) => {
    card = (event.target as HTMLElement).closest?.<HTMLElement>("[data-board-card]") ?? null;
    if (!card || !event.dataTransfer) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", ""); // without data some browsers start no drag
    card.classList.add("is-dragged");
  });
  document.addEventListener("dragover", (event) => {
    const column = columnOf(event);
    if (!buttonFor(column)) return;
    event.preventDefault();
    if (column?.classList.contains("is-over")) return;
    clear();
    column?.classList.add("is-over");
  });
  document.addEventListener("drop", (event) => {
    const button = buttonFor(columnOf(event));
    if (!button) return;
    event.preventDefault();
    button.form?.requestSubmit(button);
  });
  document.addEventListener("dragend", () => {
    clear();
    card?.classList.remove("is-dragged");
    card = null;
  });
}
