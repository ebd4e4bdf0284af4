/** A select with a box to search in: the select stays in the form and speaks for it, a button and a list stand in its place. */
function enhance(select: HTMLSelectElement, number: number): void {
  const frame = select.closest<HTMLElement>(".combo");
  if (!frame || frame.querySelector(".combo-btn")) return;
  const name = frame.querySelector(".sr-only")?.textContent?.trim() ?? "";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "select select-sm combo-btn";
  button.dataset.stands = select.id;
  button.setAttribute("aria-haspopup", "listbox");
  button.setAttribute("aria-expanded", "false");
  const say = () => {
    const text = select.selectedOptions[0]?.textContent?.trim() ?? "";
    button.textContent = text;
    button.setAttribute("aria-label", `${name}: ${text}`);
  };
  say();
  select.classList.add("sr-only");
  select.tabIndex = -1;
  select.setAttribute("aria-hidden", "true");
  frame.append(button);
  button.addEventListener("click", () => open(select, button, `combo-${number}`, say));
  button.addEventListener("keydown", (event) => {
    const isLetter = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (isLetter || (event.key === "ArrowDown" && !event.altKey)) {
      event.preventDefault();
      open(select, button, `combo-${number}`, say, isLetter ? event.key : "");
    }
  });
}

function option(from: HTMLOptionElement, id: string): HTMLElement {
  const item = document.createElement("div");
  item.id = id;
  item.className = "combo-option";
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", String(from.selected));
  if (from.disabled) item.setAttribute("aria-disabled", "true");
  item.dataset.value = from.value;
  item.textContent = from.textContent?.trim() ?? "";
  return item;
}

function open(select: HTMLSelectElement, button: HTMLElement, id: string, say: () => void, typed = ""): void {
  document.querySelector(".combo-pop")?.remove();
  const pop = document.createElement("div");
  pop.className = "combo-pop";
  const box = document.createElement("input");
  box.className = "input input-sm";
  box.type = "search";
  box.value = typed;
  box.autocomplete = "off";
  box.setAttribute("data-quiet", "");
  const words = select.dataset.findWords ?? "";
  const said: [string, string][] = [
    ["role", "combobox"], ["aria-expanded", "true"], ["aria-controls", `${id}-list`], ["aria-autocomplete", "list"],
    ["aria-label", words], ["placeholder", words],
  ];
  said.forEach(([key, value]) => box.setAttribute(key, value));
  const list = document.createElement("div");
  list.id = `${id}-list`;
  list.className = "combo-list";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", words);
  const nothing = document.createElement("p");
  nothing.className = "note";
  nothing.setAttribute("role", "status");
  pop.append(box, list, nothing);
  (select.closest(".combo") ?? document.body).append(pop);
  button.setAttribute("aria-expanded", "true");

  let current = 0;
  const items = () => [...list.querySelectorAll<HTMLElement>('[role="option"]:not([aria-disabled])')];
  const mark = (index: number) => {
    const all = items();
    current = Math.max(0, Math.min(index, all.length - 1));
    all.forEach((item, place) => item.classList.toggle("is-current", place === current));
    const item = all[current];
    box.setAttribute("aria-activedescendant", item?.id ?? "");
    item?.scrollIntoView({ block: "nearest" });
  };
  const fill = () => {
    const sought = box.value.trim().toLocaleLowerCase();
    const fits = (text: string | null) => (text ?? "").toLocaleLowerCase().includes(sought);
    list.replaceChildren();
    let count = 0;
    const put = (from: HTMLOptionElement, into: HTMLElement) => into.append(option(from, `${id}-${count++}`));
    for (const child of select.children) {
      if (child instanceof HTMLOptionElement && fits(child.textContent)) put(child, list);
      if (!(child instanceof HTMLOptGroupElement)) continue;
      const found = [...child.querySelectorAll("option")].filter((one) => fits(child.label) || fits(one.textContent));
      if (!found.length) continue;
      const group = document.createElement("div");
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", child.label);
      const heading = document.createElement("div");
      heading.className = "combo-heading";
      heading.textContent = child.label;
      heading.setAttribute("aria-hidden", "true");
      group.append(heading);
      found.forEach((one) => put(one, group));
      list.append(group);
    }
    nothing.textContent = count ? "" : (select.dataset.nothing ?? "");
    mark(sought ? 0 : Math.max(0, items().findIndex((item) => item.getAttribute("aria-selected") === "true")));
  };
  const close = (back: boolean) => {
    pop.remove();
    document.removeEventListener("pointerdown", outside);
    button.setAttribute("aria-expanded", "false");
    if (back) button.focus();
  };
  const outside = (event: Event) => {
    if (!pop.contains(event.target as Node) && event.target !== button) close(false);
  };
  const choose = (item: HTMLElement | null | undefined) => {
    if (!item) return;
    const isNew = select.value !== item.dataset.value;
    select.value = item.dataset.value ?? "";
    say();
    close(true);
    if (isNew) select.dispatchEvent(new Event("change", { bubbles: true }));
  };
  box.addEventListener("input", fill);
  box.addEventListener("keydown", (event) => {
    const way = { ArrowDown: current + 1, ArrowUp: current - 1, PageDown: current + 8, PageUp: current - 8 }[event.key];
    if (way !== undefined) mark(way);
    else if (event.key === "Enter") choose(items()[current]);
    else if (event.key === "Escape") close(true);
    else if (event.key === "Tab") return close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  list.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
  list.addEventListener("click", (event) => {
    choose((event.target as HTMLElement).closest<HTMLElement>('[role="option"]:not([aria-disabled])'));
  });
  document.addEventListener("pointerdown", outside);
  fill();
  box.focus();
}

/** Every select[data-combo] inside becomes searchable. */
export function startCombos(inside: ParentNode): void {
  inside.querySelectorAll<HTMLSelectElement>("select[data-combo]").forEach(enhance);
}
