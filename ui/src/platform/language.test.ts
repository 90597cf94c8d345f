import { afterEach, expect, test, vi } from "vitest";

const own = Object.getOwnPropertyDescriptor(Navigator.prototype, "language");

/** What the page takes for its language where the system calls it so. */
async function taken(language: string): Promise<string> {
  Object.defineProperty(Navigator.prototype, "language", { get: () => language, configurable: true });
  vi.resetModules();
  await import("./language");
  return navigator.language;
}

afterEach(() => {
  if (own) Object.defineProperty(Navigator.prototype, "language", own);
});

test("a system without a language speaks English, and any other its own", async () => {
  expect(await taken("de-AT")).toBe("de-AT");
  expect(await taken("C")).toBe("en");
});
