interface Question {
  text: string;
  title?: string;
  action?: string;
  tone?: string;
  typed?: string;
}

/** Asks in the page's own dialog; with `typed`, the button wakes only when that very text is entered. */
export function ask(question: Question): Promise<boolean> {
  const dialog = document.querySelector<HTMLDialogElement>("#confirm-dialog");
  if (!dialog) return Promise.resolve(false);
  const part = <T extends HTMLElement>(name: string) => dialog.querySelector<T>(`[data-part="${name}"]`)!;
  const yes = part<HTMLButtonElement>("yes");
  const input = part<HTMLInputElement>("input");
  part("title").textContent = question.title || part("title").dataset.fallback || "";
  part("text").textContent = question.text;
  yes.textContent = question.action || yes.dataset.fallback || "";
  yes.className = question.tone === "danger" ? "btn btn-danger" : "btn btn-primary";
  part("typed").hidden = !question.typed;
  part("wanted").textContent = question.typed ?? "";
  input.value = "";
  yes.disabled = Boolean(question.typed);
  input.oninput = () => {
    yes.disabled = input.value.trim() !== question.typed;
  };
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function questionOf(element: HTMLElement, text: string): Question {
  const { confirmTitle, confirmAction, confirmTone, confirmTyped } = element.dataset;
  return { text, title: confirmTitle, action: confirmAction, tone: confirmTone, typed: confirmTyped };
}

/** hx-confirm, and plain forms, links and buttons with data-confirm. */
export function startConfirms(): void {
  document.addEventListener("htmx:confirm", (event) => {
    const { question, elt, issueRequest } = (event as CustomEvent).detail;
    if (!question) return;
    event.preventDefault();
    void ask(questionOf(elt, question)).then((yes) => yes && issueRequest(true));
  });
  const allowed = new WeakSet<Event["target"] & object>();
  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target as HTMLFormElement;
      const submitter = (event as SubmitEvent).submitter;
      const source = submitter?.dataset.confirm ? submitter : form;
      const text = source.dataset.confirm;
      if (!text || allowed.delete(form)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      void ask(questionOf(source, text)).then((yes) => {
        if (!yes) return;
        allowed.add(form);
        form.requestSubmit(submitter ?? undefined);
      });
    },
    true,
  );
}
