interface PreviewState {
  text: string;
  sample: Record<string, string>;
  shown: string;
  length: number;
  init(): void;
  $root: HTMLElement;
}

/** The text a customer would see while it is typed: a name in braces replaced by the sample values in data-sample (JSON). */
export function messagePreview(): Partial<PreviewState> {
  return {
    text: "",
    sample: {},
    get shown(): string {
      return this.text!.replace(/\{([^{}]+)\}/g, (whole, name: string) => this.sample![name] ?? whole);
    },
    get length(): number {
      return [...this.text!].length;
    },
    init(this: PreviewState) {
      this.sample = JSON.parse(this.$root.dataset.sample ?? "{}");
      this.text = this.$root.querySelector("textarea")?.value ?? "";
    },
  };
}
