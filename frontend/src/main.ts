import "./app.css";
import { startAlpine } from "./alpine";
import { startCharts } from "./charts-loader";
import { startConfirms } from "./confirm";
import { startCopying } from "./copy";
import { startHtmx } from "./htmx";
import { startMenus } from "./menus";
import { startNavigation } from "./navigation";
import { startToasts } from "./toasts";

startHtmx();
startConfirms();
startToasts();
startNavigation();
startMenus();
startCopying();
startCharts();
startAlpine();
