/** Nearer to the end than this counts as at the end: fractions of pixels, and a phone's rubber band. */
const nearPx = 24;

interface Anchor {
  readonly row: HTMLElement;
  /** Of the row, against the top of what is seen. */
  readonly topPx: number;
}

/**
 * Keeps a list of messages where its reader is. At the end, it stays there, whatever comes, and whatever grows or shrinks
 * around it; elsewhere, the row at the top of what is seen keeps its place while rows come and go above it. (Browsers'
 * own anchoring does nothing at the very top, which is where history is loaded.)
 */
export class Scroller {
  readonly #list: HTMLElement;
  readonly #tell: (isAtEnd: boolean) => void;
  readonly #resized: ResizeObserver;
  #isAtEnd = true;
  #anchor: Anchor | undefined;

  /** `tell` is called when the end is reached or left. */
  constructor(list: HTMLElement, tell: (isAtEnd: boolean) => void) {
    this.#list = list;
    this.#tell = tell;
    this.#resized = new ResizeObserver(() => this.settle());
    this.#resized.observe(list);
    list.addEventListener("scroll", this.#scrolled, { passive: true });
    this.settle();
  }

  end(): void {
    this.#resized.disconnect();
    this.#list.removeEventListener("scroll", this.#scrolled);
  }

  /** After the rows or the size changed, and before that is painted. */
  settle(): void {
    if (this.#isAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
    else if (this.#anchor?.row.isConnected) {
      this.#list.scrollTop += this.#topOf(this.#anchor.row) - this.#anchor.topPx;
    }
    this.#look();
  }

  toEnd(): void {
    this.#isAtEnd = true;
    this.settle();
    this.#tell(true);
  }

  #scrolled = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < nearPx;
    if (isAtEnd !== this.#isAtEnd) this.#tell(isAtEnd);
    this.#isAtEnd = isAtEnd;
    this.#look();
  };

  /** Only messages keep their place: the edge above them changes its words, and day lines come and go. */
  #look(): void {
    const rows = this.#list.querySelectorAll<HTMLElement>(".bubble-row");
    const row = [...rows].find((row) => this.#topOf(row) + row.offsetHeight > 0);
    this.#anchor = row && { row, topPx: this.#topOf(row) };
  }

  #topOf(row: HTMLElement): number {
    return row.offsetTop - this.#list.scrollTop;
  }
}
