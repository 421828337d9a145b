// The live page of a sweep.
import { start } from "./live/state.js";
import { openFromAddress } from "./live/tabs.js";
import "./live/overview.js";
import "./live/space.js";
import "./live/charts.js";
import "./live/analysis.js";
import "./live/trials.js";
import "./live/cluster.js";
import "./live/log.js";
import "./live/configuration.js";
import "./live/steering.js";
import "./live/dialogs.js";
import { watchQueue } from "./live/queue.js";

openFromAddress();
watchQueue(start());
