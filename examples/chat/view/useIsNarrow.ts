import { useEffect, useState } from "preact/hooks";

/** Whether the page is narrower than so many pixels; the same widths stand in `layout.css`. */
export function useIsNarrow(px: number): boolean {
  const [query] = useState(() => matchMedia(`(width < ${px}px)`));
  const [isNarrow, setIsNarrow] = useState(query.matches);
  useEffect(() => {
    const onChange = (): void => setIsNarrow(query.matches);
    query.addEventListener("change", onChange);
    return () => query.removeEventListener("change", onChange);
  }, [query]);
  return isNarrow;
}
