import { MantineProvider } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useLayoutEffect, useState } from "react";
import { resolver, theme } from "@/theme/theme";
import { queries } from "./ask";
import { useSettings } from "./host";
import { makeRouter } from "./routes";

/** The whole application: look, data, routes. */
export function Application() {
  const [router] = useState(makeRouter);
  const scheme = useScheme();
  return (
    <MantineProvider theme={theme} cssVariablesResolver={resolver} forceColorScheme={scheme}>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  );
}

/** The scheme and contrast of the settings, or the system's own. */
function useScheme(): "dark" | "light" {
  const { scheme, contrast } = useSettings();
  const light = useMediaQuery("(prefers-color-scheme: light)", false, { getInitialValueInEffect: false });
  const more = useMediaQuery("(prefers-contrast: more)", false, { getInitialValueInEffect: false });
  const strong = contrast === "more" || (contrast === "system" && more);
  useLayoutEffect(() => {
    if (strong) document.documentElement.dataset.contrast = "more";
    else delete document.documentElement.dataset.contrast;
  }, [strong]);
  return scheme === "system" ? (light ? "light" : "dark") : scheme;
}
