import { test } from "@playwright/test";
import { screens, show } from "./scenes";

const out = process.env.SHOTS_DIR ?? "../docs/screens";

test.skip(!process.env.SHOTS, "pictures are made by `npm run shots`");

for (const scheme of ["dark", "light"] as const)
  for (const screen of screens)
    test(`${screen.name}, ${scheme}`, async ({ page }) => {
      await show(page, screen, scheme);
      await page.screenshot({ path: `${out}/${screen.name}-${scheme}.png` });
    });
