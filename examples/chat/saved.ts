/**
 * What outlives a reload. It belongs to the tab (`sessionStorage`), so that two tabs can be two people. A browser that
 * keeps nothing is no obstacle: then each load begins anew.
 */
export class Saved {
  readonly #storage: Storage | undefined;

  constructor(open: () => Storage) {
    try {
      this.#storage = open();
    } catch {
      this.#storage = undefined;
    }
  }

  get name(): string {
    return this.#storage?.getItem("name") ?? "";
  }
  set name(name: string) {
    this.#put("name", name);
  }

  get rooms(): readonly string[] {
    return (this.#storage?.getItem("rooms") ?? "").split("/").filter((name) => name !== "");
  }
  set rooms(names: readonly string[]) {
    this.#put("rooms", names.join("/"));
  }

  draft(room: string): string {
    return this.#storage?.getItem(`draft/${room}`) ?? "";
  }
  setDraft(room: string, text: string): void {
    this.#put(`draft/${room}`, text);
  }

  clear(): void {
    this.#storage?.clear();
  }

  #put(key: string, value: string): void {
    try {
      if (value === "") this.#storage?.removeItem(key);
      else this.#storage?.setItem(key, value);
    } catch {
      // The storage is full: what could not be kept is typed again after a reload.
    }
  }
}
