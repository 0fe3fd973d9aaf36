import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { NatsSettings } from "./options.ts";

/** What node:tls is given. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/**
 * Where a server is given by its address, the client library names no host, and node:tls then takes a certificate for
 * `localhost`: it must be for one of the addresses that were given. Servers that a cluster tells of are checked by the
 * name of the one that told.
 */
export function tlsOf({ servers, tls = {} }: Pick<NatsSettings, "servers" | "tls">): TlsSettings {
  const hosts = servers.map((server) => new URL(`tls://${server}`).hostname.replace(/^\[|\]$/g, ""));
  const addresses = hosts.filter((host) => isIP(host) !== 0);
  if (addresses.length === 0) return tls;
  const unnamed = hosts.includes("localhost") ? [...addresses, "localhost"] : addresses;
  return {
    ...tls,
    checkServerIdentity(host, certificate) {
      const names = host === "localhost" ? unnamed : [host];
      const errors = names.map((name) => checkServerIdentity(name, certificate));
      return errors.includes(undefined) ? undefined : errors[0];
    },
  };
}
