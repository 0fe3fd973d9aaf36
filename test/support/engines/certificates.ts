import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { programOf, temporaryDirectory } from "./processes.ts";

/** A private CA, and certificates by it: a server's for `localhost`, one for 127.0.0.1, and a client's. PEM. */
export interface Certificates {
  readonly ca: { readonly file: string; readonly pem: string };
  readonly server: { readonly certFile: string; readonly keyFile: string };
  readonly byAddress: { readonly certFile: string; readonly keyFile: string };
  readonly client: { readonly cert: string; readonly key: string };
  remove(): void;
}

/** Needs openssl 3; a new CA each time. */
export async function makeCertificates(): Promise<Certificates> {
  const directory = temporaryDirectory("certificates");
  const file = (name: string): string => join(directory.path, name);
  const make = async (name: string, words: readonly string[]): Promise<void> => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", file(`${name}.key`)];
    const request = ["req", "-x509", ...key, "-out", file(`${name}.pem`), "-days", "2", "-subj", `/CN=${name}`];
    await promisify(execFile)(programOf("OPENSSL", "openssl"), [...request, ...words]);
  };
  const byCa = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-addext", "basicConstraints=CA:FALSE"];
  await make("ca", []);
  await make("server", [...byCa, "-addext", "subjectAltName=DNS:localhost"]);
  await make("address", [...byCa, "-addext", "subjectAltName=IP:127.0.0.1"]);
  await make("client", byCa);
  const text = (name: string): string => readFileSync(file(name), "utf8");
  return {
    ca: { file: file("ca.pem"), pem: text("ca.pem") },
    server: { certFile: file("server.pem"), keyFile: file("server.key") },
    byAddress: { certFile: file("address.pem"), keyFile: file("address.key") },
    client: { cert: text("client.pem"), key: text("client.key") },
    remove: () => directory.remove(),
  };
}
