import Alpine from "@alpinejs/csp";
import { bulk } from "./bulk";
import { messagePreview } from "./message-preview";

/** Alpine's CSP build: components are registered here by name; templates hold simple expressions only. */
export function startAlpine(): void {
  Alpine.data("bulk", bulk);
  Alpine.data("messagePreview", messagePreview);
  Alpine.start();
}
