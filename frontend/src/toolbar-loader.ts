/** What speaks to WeCom's JS-SDK is fetched only by the page of the chat toolbar. */
export async function startToolbar(): Promise<void> {
  const page = document.querySelector<HTMLElement>("[data-toolbar]");
  if (!page) return;
  const { readChat } = await import("./toolbar");
  await readChat(page);
}
