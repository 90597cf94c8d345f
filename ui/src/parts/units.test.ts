import { expect, it } from "vitest";
import { perDot } from "./FleetField";
import { shares } from "./Seal";
import { remaining } from "./Time";
import { bytes, cutId, duration, hashLines, served } from "./units";

it("says a length of time in two units at most", () => {
  expect([0, 59, 60, 192, 3600, 3661, 11_400, 86_400 * 3, 86_400 * 480].map(duration)).toEqual([
    "0 s",
    "59 s",
    "1 m",
    "3 m 12 s",
    "1 h",
    "1 h 1 m",
    "3 h 10 m",
    "3 d",
    "480 d",
  ]);
});

it("says sizes in decimal units, both parts in the unit of the whole", () => {
  expect(bytes(1_483_152)).toBe("1.48 MB");
  expect(served(963_104, 1_483_152, "of")).toBe("0.96 of 1.48 MB");
});

it("cuts an id in the middle and keeps its prefix", () => {
  expect(cutId("rol_01KBQ4ABCDEFGHJKMNPQRSQX4M")).toBe("rol_01KBQ4ABC…QX4M".replace("ABC…", "…"));
  expect(cutId("lnk_01KBQ4ABCDEFGHJKMNPQRSGP1X", true)).toBe("lnk_…GP1X");
});

it("groups a hash by four, eight groups a line", () => {
  expect(hashLines("ab".repeat(32))).toEqual([Array(8).fill("abab").join(" "), Array(8).fill("abab").join(" ")]);
});

it("counts down on the server's clock: attention from ten minutes, failure at the end", () => {
  const end = "2026-11-17T15:00:00Z";
  const at = (seconds: number) => remaining(end, Date.parse(end) - seconds * 1000).kind;
  expect([601, 600, 1, 0, -5].map(at)).toEqual(["run", "warn", "warn", "bad", "bad"]);
});

it("cuts the seal into as many shares as there are key holders", () => {
  for (const n of [1, 2, 3, 4, 5, 7]) expect(shares(n)).toHaveLength(n);
});

it("lets the fleet's field fit its width, whatever the fleet", () => {
  for (const models of [[312], [5206, 4118, 312, 2795], [1_000_000], Array(6).fill(20)]) {
    const per = perDot(models, 1038);
    const columns = models.reduce((sum, n) => sum + Math.max(7, Math.ceil(n / per / 11)), 3 * (models.length - 1));
    expect(columns * 8).toBeLessThanOrEqual(1038);
  }
  expect(perDot([5206, 4118, 312, 2795], 1038)).toBe(10);
});
