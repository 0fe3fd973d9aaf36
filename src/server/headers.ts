/** Every value of a header as it came, in order. `name` in lower case. Node's `headers` drops or joins repeated ones. */
export function headerValues(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const given = rawHeaders[i];
    // Lengths first: this runs for every header of every connect.
    if (given?.length === name.length && given.toLowerCase() === name) values.push(rawHeaders[i + 1] ?? "");
  }
  return values;
}

/** The items of a header that is a list with commas, trimmed; empty items stay, for the caller to judge. */
export function listItems(value: string | undefined): string[] {
  return value === undefined ? [] : value.split(",").map((item) => item.trim());
}
