/**
 * The metrics of several workers as one text: every sample with a label that tells whose it is, every metric once. What
 * sums over them is left to who reads it, who alone knows which do.
 */
export function mergeMetrics(texts: ReadonlyMap<number, string>): string {
  const metrics = new Map<string, { readonly head: string[]; readonly samples: string[] }>();
  for (const [worker, text] of texts) {
    let current: { readonly head: string[]; readonly samples: string[] } | undefined;
    for (const line of text.split("\n")) {
      const [, what, name = ""] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? [];
      if (what !== undefined) {
        current = metrics.get(name) ?? { head: [], samples: [] };
        metrics.set(name, current);
        if (!current.head.includes(line)) current.head.push(line);
      } else if (line !== "") current?.samples.push(labelled(line, worker));
    }
  }
  const lines = Array.from(metrics.values(), ({ head, samples }) => [...head, ...samples]).flat();
  return `${lines.join("\n")}\n`;
}

function labelled(sample: string, worker: number): string {
  const label = `worker="${worker}"`;
  const [, name = "", labels, value = ""] = /^([^\s{]+)(?:\{(.*)\})? (.*)$/.exec(sample) ?? [];
  return `${name}{${labels === undefined || labels === "" ? label : `${labels},${label}`}} ${value}`;
}
