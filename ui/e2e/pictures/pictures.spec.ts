import { test } from "@playwright/test";
import { screens, show } from "../sample/scenes";

const out = process.env.PICTURES ?? "../docs/screens";

for (const scheme of ["dark", "light"] as const)
  for (const screen of screens)
    test(`${screen.name}, ${scheme}`, async ({ page }) => {
      await show(page, screen, scheme);
      await page.screenshot({ path: `${out}/${screen.name}-${scheme}.png` });
    });
