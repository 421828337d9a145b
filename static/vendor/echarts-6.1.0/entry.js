// What the pages use of ECharts, and nothing else of it: see ../README.md for the command that makes echarts.js of it.
import { use } from "echarts/core";
import { BarChart, CustomChart, LineChart, ParallelChart, ScatterChart } from "echarts/charts";
import {
  AriaComponent, DataZoomInsideComponent, GridComponent, LegendPlainComponent, ParallelComponent, TitleComponent, TooltipComponent,
} from "echarts/components";
import { CanvasRenderer, SVGRenderer } from "echarts/renderers";

use([
  BarChart, CustomChart, LineChart, ParallelChart, ScatterChart,
  AriaComponent, DataZoomInsideComponent, GridComponent, LegendPlainComponent, ParallelComponent, TitleComponent, TooltipComponent,
  CanvasRenderer, SVGRenderer,
]);

export { init } from "echarts/core";
