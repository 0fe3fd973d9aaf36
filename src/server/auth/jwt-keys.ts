import { createPublicKey } from "node:crypto";
import { createVerifier, type Algorithm } from "fast-jwt";

/** The claims of a token whose signature is good; `undefined` for any other. Nothing else about it is checked. */
export type ReadToken = (token: string) => unknown;

/** Throws a TypeError on a secret that is empty or is really a public key, which everyone may know. */
export function secretReader(secrets: readonly string[]): ReadToken {
  for (const secret of secrets) {
    if (typeof secret !== "string" || secret === "") throw new TypeError("a secret must be a text that is not empty");
    if (secret.includes("-----BEGIN ")) throw new TypeError("a secret must not be a PEM key; give that as key");
  }
  return anyOf(
    "secrets",
    secrets.map((secret) => verifier(secret, ["HS256"])),
  );
}

/** Throws a TypeError on anything but public keys and certificates in PEM. */
export function publicKeyReader(pems: readonly string[]): ReadToken {
  return anyOf(
    "key",
    pems.map((pem) => {
      const { key, algorithms } = readPem(pem);
      return verifier(key, algorithms);
    }),
  );
}

/** Claims are `identityOf`'s business, so that each rule stands once for local and remote keys. */
function verifier(key: string, algorithms: Algorithm[]): ReadToken {
  return createVerifier({ key, algorithms, ignoreExpiration: true, ignoreNotBefore: true });
}

/** With secrets or keys being changed, each is tried in turn, the one that comes first in the options first. */
function anyOf(option: string, readers: readonly ReadToken[]): ReadToken {
  if (readers.length === 0) throw new TypeError(`${option} must not be an empty list`);
  return (token) => {
    for (const read of readers) {
      try {
        return read(token);
      } catch {
        // The keys were checked at the start, so what is thrown here is the token's fault.
      }
    }
    return undefined;
  };
}

function readPem(pem: string): { key: string; algorithms: Algorithm[] } {
  if (typeof pem !== "string" || !pem.includes("-----BEGIN ")) throw new TypeError("key must be a public key in PEM");
  // Node would make a public key of it; but a server that only checks tokens should not hold what signs them.
  if (pem.includes("PRIVATE KEY-----")) throw new TypeError("key must be the public key, got a private one");
  const key = parsePem(pem);
  const algorithms = algorithmsOf(key.asymmetricKeyType, key.asymmetricKeyDetails?.namedCurve);
  if (algorithms === undefined) throw new TypeError(`no algorithm for a key of type ${key.asymmetricKeyType}`);
  return { key: key.export({ type: "spki", format: "pem" }).toString(), algorithms };
}

function parsePem(pem: string): ReturnType<typeof createPublicKey> {
  try {
    return createPublicKey(pem);
  } catch (cause) {
    throw new TypeError("key must be a public key in PEM, got one that cannot be read", { cause });
  }
}

function algorithmsOf(type: string | undefined, curve: string | undefined): Algorithm[] | undefined {
  if (type === "rsa") return ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
  if (type === "ed25519") return ["EdDSA"];
  if (type !== "ec") return undefined;
  if (curve === "prime256v1") return ["ES256"];
  if (curve === "secp384r1") return ["ES384"];
  return curve === "secp521r1" ? ["ES512"] : undefined;
}
