/** The page of the chat toolbar: register with WeCom's JS-SDK, ask whose chat this is, hand the id to the server. */

interface Signed {
  timestamp: number;
  nonceStr: string;
  signature: string;
}

interface Problem {
  errCode?: number;
  errMsg?: string;
}

interface WeCom {
  register(options: Record<string, unknown>): void;
  getContext(): Promise<{ entry: string }>;
  getCurExternalContact(): Promise<{ userId: string }>;
  getCurExternalChat(): Promise<{ chatId: string }>;
}

const PATIENCE = 10_000; // outside WeCom the SDK may never answer
const WITH_CUSTOMER = ["contact_profile", "single_chat_tools", "single_kf_tools"];
const OUTCOMES: Record<number, string> = { 80001: "domain", 92002: "corp" };

export async function readChat(page: HTMLElement): Promise<void> {
  const ww = await load(page.dataset.script ?? "");
  if (!ww) return show(page, "script");
  try {
    const { entry } = await within(register(ww, page).then(() => ww.getContext()));
    if (WITH_CUSTOMER.includes(entry)) open(page, "external_userid", (await within(ww.getCurExternalContact())).userId);
    else if (entry === "group_chat_tools") open(page, "chat_id", (await within(ww.getCurExternalChat())).chatId);
    else show(page, "no_chat");
  } catch (problem) {
    tell(page, problem as Problem);
  }
}

/** Ask the server for the page of this customer or group. */
function open(page: HTMLElement, name: string, id: string): void {
  const form = page.querySelector("form");
  const field = form?.querySelector<HTMLInputElement>(`[name=${name}]`);
  if (!form || !field) return;
  field.value = id;
  form.requestSubmit();
}

/** WeCom's script, from the address the page says; nothing when it does not come. */
function load(address: string): Promise<WeCom | undefined> {
  return new Promise((resolve) => {
    const script = document.createElement("script");
    const done = () => resolve((window as unknown as { ww?: WeCom }).ww);
    script.onload = done;
    script.onerror = done;
    setTimeout(done, PATIENCE);
    script.src = address;
    document.head.append(script);
  });
}

/** Resolves when the SDK has taken both signatures; rejects with what it says of the one it refused. */
async function register(ww: WeCom, page: HTMLElement): Promise<void> {
  const { corp, agent, sign } = page.dataset;
  const url = window.location.href.split("#")[0] ?? "";
  const signed = await signatures(sign ?? "", url);
  return new Promise((resolve, reject) => {
    ww.register({
      corpId: corp,
      agentId: agent,
      jsApiList: ["getContext", "getCurExternalContact", "getCurExternalChat"],
      getConfigSignature: () => signed.config,
      getAgentConfigSignature: () => signed.agentConfig,
      onConfigFail: reject,
      onAgentConfigFail: reject,
      onAgentConfigSuccess: () => resolve(),
    });
  });
}

async function signatures(address: string, url: string): Promise<{ config: Signed; agentConfig: Signed }> {
  const token = document.querySelector<HTMLInputElement>("[data-toolbar] [name=csrfmiddlewaretoken]")?.value ?? "";
  const answer = await fetch(address, {
    method: "POST",
    headers: { "X-CSRFToken": token },
    body: new URLSearchParams({ url }),
  });
  const body = (await answer.json()) as { config: Signed; agentConfig: Signed; message?: string };
  if (!answer.ok) throw { errMsg: body.message ?? String(answer.status) };
  return body;
}

function within<T>(work: Promise<T>): Promise<T> {
  const late = new Promise<never>((_resolve, reject) => setTimeout(() => reject({ errMsg: "timeout" }), PATIENCE));
  return Promise.race([work, late]);
}

function tell(page: HTMLElement, problem: Problem): void {
  const words = problem.errMsg ?? "";
  const outcome = OUTCOMES[problem.errCode ?? 0];
  if (outcome) show(page, outcome);
  else if (words.includes("no permission")) show(page, "permission");
  else if (words.includes("without context")) show(page, "no_chat");
  else if (words === "timeout") show(page, "script");
  else {
    const code = page.querySelector("[data-code]");
    if (code) code.textContent = words || String(problem.errCode ?? "");
    show(page, "refused");
  }
}

function show(page: HTMLElement, outcome: string): void {
  for (const part of page.querySelectorAll<HTMLElement>("[data-outcome]")) part.hidden = part.dataset.outcome !== outcome;
}
