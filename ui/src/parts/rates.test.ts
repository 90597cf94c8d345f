import { expect, it } from "vitest";
import { Rates } from "./rates";

it("says how fast something grows while it does, and nothing once it stands", () => {
  const rates = new Rates();
  expect(rates.observe("a", 0, 1000)).toBeUndefined();
  expect(rates.observe("a", 4000, 3000)).toBe(2000);
  expect(rates.observe("a", 4000, 3000)).toBe(2000);
  expect(rates.observe("a", 4000, 12_000)).toBe(2000);
  expect(rates.observe("a", 4000, 13_001)).toBeUndefined();
  expect(rates.observe("a", 5000, 14_000)).toBeCloseTo(90.9, 1);
});

it("begins anew where another link begins anew", () => {
  const rates = new Rates();
  rates.observe("a", 100, 0);
  expect(rates.observe("a", 50, 1000)).toBeUndefined();
  expect(rates.observe("a", 150, 2000)).toBe(100);
  expect(rates.observe("b", 150, 2000)).toBeUndefined();
});
