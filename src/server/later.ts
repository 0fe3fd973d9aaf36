/** Whether an answer comes later. An app's own promises may be of another library or realm, so `instanceof` will not do. */
export function isLater<T>(answer: T | PromiseLike<T>): answer is PromiseLike<T> {
  return typeof answer === "object" && answer !== null && "then" in answer && typeof answer.then === "function";
}
