import { BarChart, LineChart } from "echarts/charts";
import { AriaComponent, GridComponent, LegendScrollComponent, TooltipComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

echarts.use([BarChart, LineChart, GridComponent, TooltipComponent, LegendScrollComponent, AriaComponent, CanvasRenderer]);

/** What scrm.ui.charts.Chart.spec writes; the table beside the chart is made from the same object. */
interface Spec {
  kind: "line" | "bar" | "stacked" | "hbar";
  label: string;
  categories: string[];
  unit: string;
  percent: boolean;
  series: { name: string; values: (number | null)[]; links: (string | null)[] }[];
}

const style = getComputedStyle(document.documentElement);
const token = (name: string) => style.getPropertyValue(name).trim();
const COLOURS = [token("--accent"), "#b9722a", "#6279a6", "#94577a", "#71893f", "#b5533c", "#4d8f86", "#8a929b"];

function shown(spec: Spec, value: unknown): string {
  if (typeof value !== "number") return "—";
  const digits = spec.percent ? { maximumFractionDigits: 1, style: "percent" as const } : { maximumFractionDigits: 2 };
  return value.toLocaleString("zh-CN", digits) + spec.unit;
}

function option(spec: Spec): echarts.EChartsCoreOption {
  const flat = spec.kind === "hbar";
  const text = { color: token("--ink-2"), fontFamily: token("--font-sans"), fontSize: 12 };
  const names = {
    type: "category",
    data: spec.categories,
    inverse: flat,
    axisTick: { show: false },
    axisLine: { lineStyle: { color: token("--line-strong") } },
    axisLabel: { ...text, hideOverlap: true, overflow: "truncate", width: flat ? 96 : undefined },
  };
  const values = {
    type: "value",
    splitLine: { lineStyle: { color: token("--line") } },
    axisLabel: { ...text, hideOverlap: true, formatter: (value: number) => shown({ ...spec, unit: "" }, value) },
  };
  return {
    animation: !window.matchMedia("(prefers-reduced-motion: reduce)").matches,
    animationDuration: 250,
    color: COLOURS,
    textStyle: text,
    aria: { enabled: true, label: { description: spec.label } },
    // Rich text: an HTML tooltip would need inline styles, which the policy refuses.
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      axisPointer: { type: spec.kind === "line" ? "line" : "shadow" },
      valueFormatter: (value: unknown) => shown(spec, value),
    },
    legend: spec.series.length > 1 ? { type: "scroll", top: 0, left: 0, right: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10, textStyle: text } : undefined,
    grid: { left: 4, right: 16, top: spec.series.length > 1 ? 36 : 12, bottom: 4, containLabel: true },
    xAxis: flat ? values : names,
    yAxis: flat ? names : values,
    series: spec.series.map((one) => ({
      name: one.name,
      type: spec.kind === "line" ? "line" : "bar",
      data: one.values,
      stack: spec.kind === "stacked" ? "all" : undefined,
      barMaxWidth: 28,
      symbolSize: 5,
      lineStyle: { width: 2 },
      connectNulls: false,
      label: flat ? { show: true, position: "right", ...text, formatter: ({ value }: { value: unknown }) => shown(spec, value) } : undefined,
    })),
  };
}

/** Draws every chart not drawn yet; a click on a point opens its rows where the spec names a link. */
export function drawCharts(): void {
  document.querySelectorAll<HTMLElement>("[data-chart]:not([data-drawn])").forEach((holder) => {
    const source = document.getElementById(holder.dataset.chart ?? "")?.textContent;
    if (!source) return;
    const spec = JSON.parse(source) as Spec;
    const chart = echarts.init(holder);
    holder.dataset.drawn = "1";
    chart.setOption(option(spec));
    chart.on("click", (point) => {
      const link = spec.series[point.seriesIndex ?? 0]?.links[point.dataIndex];
      if (link) window.location.assign(link);
    });
    const watcher = new ResizeObserver(() => {
      if (holder.isConnected) return chart.resize();
      watcher.disconnect();
      chart.dispose();
    });
    watcher.observe(holder);
  });
}
