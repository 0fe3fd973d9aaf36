/**
 * Keeps the page as tall as what a phone's keyboard leaves of it. Where the browser does so by itself (`dvh` with
 * `interactive-widget`), this changes nothing; Safari lays the keyboard over the page.
 */
export function followKeyboard(): void {
  const viewport = window.visualViewport;
  viewport?.addEventListener("resize", () => {
    const covered = window.innerHeight - viewport.height;
    const style = document.documentElement.style;
    // Zooming in makes the visual viewport smaller too, and is no keyboard.
    if (covered > 80 && viewport.scale === 1) style.setProperty("--page-height", `${viewport.height}px`);
    else style.removeProperty("--page-height");
  });
}
