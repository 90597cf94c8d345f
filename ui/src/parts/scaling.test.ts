import { describe, expect, it } from "vitest";
import { scaling, tallest } from "./scaling";

describe("scrolling", () => {
  it("is exact for a million rows of 32 px", () => {
    const scale = scaling(1_000_000, 32, 640);
    expect(scale.scaled).toBe(false);
    expect(scale.height).toBe(32_000_000);
    expect(scale.toLogical(123_456)).toBe(123_456);
  });

  it("never asks for an element that a browser would clamp, and still reaches the last row", () => {
    for (const rows of [1_031_251, 2_000_000, 50_000_000]) {
      const scale = scaling(rows, 32, 640);
      expect(scale.scaled).toBe(true);
      expect(scale.height).toBe(tallest);
      expect(scale.height).toBeLessThan(33_554_432);
      expect(scale.toLogical(scale.height - 640)).toBeCloseTo(rows * 32 - 640, 3);
      expect(scale.toScroll(scale.toLogical(1_000_000))).toBeCloseTo(1_000_000, 6);
    }
  });
});
