import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** Takes the focus into a drawer when it opens, and back to where it was when it closes. */
export function useFocus(isOpen: boolean): RefObject<HTMLElement | null> {
  const drawer = useRef<HTMLElement>(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const before = document.activeElement;
    drawer.current?.focus();
    return () => {
      // The composer may have it by now, in a room that was just opened.
      const isLost = document.activeElement === document.body || drawer.current?.contains(document.activeElement);
      if (isLost && before instanceof HTMLElement) before.focus();
    };
  }, [isOpen]);
  return drawer;
}
