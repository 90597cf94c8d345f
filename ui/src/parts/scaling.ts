/** Browsers clamp an element at 33,554,432 px. Beyond this, scroll positions stand for more than themselves. */
export const tallest = 33_000_000;

/** Maps where the scroll bar stands to where the rows stand, exact below {@link tallest}. */
export function scaling(rows: number, rowHeight: number, viewport: number) {
  const logical = rows * rowHeight;
  const height = Math.min(logical, tallest);
  const ratio = height === logical ? 1 : (logical - viewport) / (height - viewport);
  return {
    /** Height of the element that is scrolled. */
    height,
    scaled: ratio !== 1,
    toLogical: (scrollTop: number) => scrollTop * ratio,
    toScroll: (offset: number) => offset / ratio,
  };
}
