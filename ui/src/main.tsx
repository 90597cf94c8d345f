import "./platform/language";
import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "@mantine/core/styles.layer.css";
import "@mantine/spotlight/styles.layer.css";
import "./theme/look.css";
import "./theme/app.css";
import "./theme/bench.css";
import "./theme/contrast.css";
import "./words";
import { createRoot } from "react-dom/client";
import { Application } from "./app/Application";
import { platform } from "./platform";

// The host takes its secret out of the address before the router reads it.
platform();

const root = document.getElementById("root");
if (root) createRoot(root).render(<Application />);
