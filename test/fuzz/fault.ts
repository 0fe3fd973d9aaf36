/** Something that must not be. `kind` says which oracle tells it, so that a shorter case is known to show the same. */
export interface Fault {
  readonly kind:
    | "process"
    | "neighbour"
    | "left behind"
    | "log"
    | "http"
    | "status"
    | "body"
    | "framing"
    | "frame"
    | "order"
    | "close code";
  readonly what: string;
}
