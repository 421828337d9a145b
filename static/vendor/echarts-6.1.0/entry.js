// What the pages use of ECharts, and nothing else of it: see ../README.md for the command that makes echarts.js of it.
import { use } from "echarts/core";
import { BarChart, CustomChart, LineChart, ParallelChart, ScatterChart } from "echarts/charts";
import {
  DataZoomInsideComponent, GridComponent, LegendPlainComponent, ParallelComponent, TooltipComponent,
  VisualMapContinuousComponent,
} from "echarts/components";
import { LabelLayout } from "echarts/features";
import { CanvasRenderer, SVGRenderer } from "echarts/renderers";

use([
  BarChart, CustomChart, LineChart, ParallelChart, ScatterChart,
  DataZoomInsideComponent, GridComponent, LegendPlainComponent, ParallelComponent, TooltipComponent,
  VisualMapContinuousComponent, LabelLayout, CanvasRenderer, SVGRenderer,
]);

export { init } from "echarts/core";
