/** ECharts is fetched only when a page (or a swapped part) holds a chart. */
export function startCharts(): void {
  const draw = async () => {
    if (!document.querySelector("[data-chart]:not([data-drawn])")) return;
    const { drawCharts } = await import("./charts");
    drawCharts();
  };
  void draw();
  document.addEventListener("htmx:afterSettle", () => void draw());
}
