const MARKS = ["drop-before", "drop-after", "drop-inside"];
const EDGE = 70;

interface Place {
  box: string;
  index: number | "";
}

function clear(): void {
  document.querySelectorAll(MARKS.map((mark) => `.${mark}`).join()).forEach((one) => one.classList.remove(...MARKS));
}

/** Where the dragged one would stand, marked on the page: before or after what is under the pointer, or at the end of a box. */
function placeAt(x: number, y: number, dragged: HTMLElement): Place | null {
  clear();
  const over = document.elementFromPoint(x, y)?.closest<HTMLElement>("[data-node]");
  if (!over || dragged.contains(over)) return null;
  const path = over.dataset.node ?? "";
  const [parent, index] = [path.slice(0, path.lastIndexOf(".")), Number(path.slice(path.lastIndexOf(".") + 1))];
  const frame = over.getBoundingClientRect();
  if (over.matches("[data-box]")) {
    if (path !== "r" && y < frame.top + 14) {
      over.classList.add("drop-before");
      return { box: parent, index };
    }
    over.classList.add("drop-inside");
    return { box: path, index: "" };
  }
  const isBefore = y < frame.top + frame.height / 2;
  over.classList.add(isBefore ? "drop-before" : "drop-after");
  return { box: parent, index: isBefore ? index : index + 1 };
}

/** Dragging a row or a box by its handle, with a mouse, a pen or a finger, presses the hidden button that moves it. */
export function startDragging(): void {
  let dragged: HTMLElement | null = null;
  let place: Place | null = null;
  let at = { x: 0, y: 0 };
  let frame = 0;

  const follow = () => {
    if (!dragged) return;
    if (at.y < EDGE) window.scrollBy(0, -10);
    if (at.y > window.innerHeight - EDGE) window.scrollBy(0, 10);
    place = placeAt(at.x, at.y, dragged);
    frame = window.requestAnimationFrame(follow);
  };
  const end = () => {
    window.cancelAnimationFrame(frame);
    dragged?.classList.remove("is-dragged");
    document.documentElement.classList.remove("is-dragging");
    clear();
    dragged = place = null;
  };
  document.addEventListener("pointerdown", (event) => {
    const handle = (event.target as HTMLElement).closest?.<HTMLElement>("[data-drag]");
    if (!handle || event.button !== 0) return;
    dragged = handle.closest<HTMLElement>("[data-node]");
    at = { x: event.clientX, y: event.clientY };
    dragged?.classList.add("is-dragged");
    document.documentElement.classList.add("is-dragging");
    handle.focus();
    event.preventDefault(); // no selection of text
    frame = window.requestAnimationFrame(follow);
  });
  document.addEventListener("pointermove", (event) => {
    if (dragged) at = { x: event.clientX, y: event.clientY };
  });
  document.addEventListener("pointerup", () => {
    const [from, to] = [dragged, place];
    const button = from?.closest("[data-builder]")?.querySelector<HTMLButtonElement>("[data-move]");
    end();
    if (!from || !to || !button) return;
    button.value = `move:${from.dataset.node}>${to.box}:${to.index}`;
    button.click();
  });
  document.addEventListener("pointercancel", end);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && dragged) end();
  });
}
