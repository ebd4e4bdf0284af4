/** Dragging a row of a sorted list onto another puts it there: the new order goes out with the row's own hidden form. */
export function startSorting(): void {
  let item: HTMLElement | null = null;
  const itemOf = (event: Event) => (event.target as HTMLElement).closest<HTMLElement>("[data-sort-item]");
  const listOf = (row: HTMLElement | null) => row?.parentElement?.closest<HTMLElement>("[data-sort-list]") ?? null;
  const clear = () => document.querySelectorAll("[data-sort-item].is-over").forEach((one) => one.classList.remove("is-over"));
  /** Rows of one list and kind: only these trade places. */
  const together = (one: HTMLElement | null, other: HTMLElement | null) =>
    one !== null && other !== null && one !== other && listOf(one) === listOf(other) && one.dataset.sortKind === other.dataset.sortKind;

  document.querySelectorAll<HTMLElement>("[data-sort-item]").forEach((row) => row.setAttribute("draggable", "true"));
  document.addEventListener("dragstart", (event) => {
    item = itemOf(event);
    if (!item || !event.dataTransfer) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", ""); // without data some browsers start no drag
  });
  document.addEventListener("dragover", (event) => {
    const over = itemOf(event);
    clear();
    if (!together(item, over)) return;
    event.preventDefault();
    over?.classList.add("is-over");
  });
  document.addEventListener("drop", (event) => {
    const over = itemOf(event);
    const form = document.getElementById(item?.dataset.sortForm ?? "");
    if (!item || !over || !together(item, over) || !(form instanceof HTMLFormElement)) return;
    event.preventDefault();
    const field = form.elements.namedItem("move_to");
    if (field instanceof HTMLInputElement) field.value = over.dataset.sortItem ?? "";
    form.requestSubmit();
  });
  document.addEventListener("dragend", () => {
    clear();
    item = null;
  });
}
