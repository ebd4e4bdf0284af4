interface BulkState {
  chosen: string[];
  all: boolean;
  total: number;
  count: number;
  any: boolean;
  offerAll: boolean;
  countText: string;
  totalText: string;
  allFlag: string;
  init(): void;
  sync(): void;
  flip(event: Event): void;
  flipPage(event: Event): void;
  chooseAll(): void;
  clear(): void;
  $root: HTMLElement;
}

const boxes = (root: HTMLElement) => [...root.querySelectorAll<HTMLInputElement>('input[type="checkbox"][data-row]')];

/** Selection over a paged list. It survives paging (htmx swaps the table inside the root); the form it sits in posts
 *  `ids` for each chosen row, or `select_all=1` with `expected=<total>`, which the server compares with its own count. */
export function bulk(): Partial<BulkState> {
  return {
    chosen: [],
    all: false,
    total: 0,
    get count(): number {
      return this.all ? this.total! : this.chosen!.length;
    },
    get any(): boolean {
      return this.count! > 0;
    },
    get offerAll(): boolean {
      return !this.all && this.chosen!.length > 0 && this.total! > this.chosen!.length;
    },
    get countText(): string {
      return this.count!.toLocaleString("en-US");
    },
    get totalText(): string {
      return this.total!.toLocaleString("en-US");
    },
    get allFlag(): string {
      return this.all ? "1" : "0";
    },
    init(this: BulkState) {
      this.total = Number(this.$root.dataset.total ?? 0);
      this.$root.addEventListener("htmx:afterSwap", () => this.sync());
      this.sync();
    },
    /** After a swap: read the list's own total, tick what is chosen, mark the rows. */
    sync(this: BulkState) {
      const counted = this.$root.querySelector<HTMLElement>("[data-list-total]")?.dataset.listTotal;
      if (counted !== undefined) this.total = Number(counted);
      const page = boxes(this.$root);
      for (const box of page) {
        box.checked = this.all || this.chosen.includes(box.value);
        box.closest("tr")?.classList.toggle("is-selected", box.checked);
      }
      const head = this.$root.querySelector<HTMLInputElement>("[data-page-box]");
      if (!head) return;
      const ticked = page.filter((box) => box.checked).length;
      head.checked = page.length > 0 && ticked === page.length;
      head.indeterminate = ticked > 0 && ticked < page.length;
    },
    flip(this: BulkState, event: Event) {
      const box = event.target as HTMLInputElement;
      if (this.all) this.chosen = boxes(this.$root).map((other) => other.value);
      this.all = false;
      this.chosen = this.chosen.filter((id) => id !== box.value);
      if (box.checked) this.chosen.push(box.value);
      this.sync();
    },
    flipPage(this: BulkState, event: Event) {
      const ids = boxes(this.$root).map((box) => box.value);
      this.all = false;
      this.chosen = this.chosen.filter((id) => !ids.includes(id));
      if ((event.target as HTMLInputElement).checked) this.chosen.push(...ids);
      this.sync();
    },
    chooseAll(this: BulkState) {
      this.all = true;
      this.chosen = [];
      this.sync();
    },
    clear(this: BulkState) {
      this.all = false;
      this.chosen = [];
      this.sync();
    },
  };
}
