import type { Backend } from "../../backends/backend.ts";
import { isLater } from "../later.ts";
import type { Identity } from "./identity.ts";

/** A token that lives longer than this outlives its revocation: browsers keep no cookie for longer either. */
const keepMs = 400 * 86_400_000;

/** Refuses what was issued to a user before a moment (P-80). All calls throw or reject with `BackendUnavailable`. */
export interface Revocations {
  /** From now on the user's tokens and unspent tickets of before are refused, on every node. Gives the moment. */
  revoke(user: string): Promise<number>;
  /** The user's credentials of before are good again. */
  unrevoke(user: string): Promise<void>;
  /**
   * The identity, or undefined where its credentials were issued before the user's last revocation. Those that do not
   * tell when they were issued count as older. A token's `iat` is often whole seconds: one made within the second of the
   * revocation is refused too.
   */
  unlessRevoked(identity: Identity): Identity | undefined | Promise<Identity | undefined>;
  /** A revocation was decided here or elsewhere: `overtook` knows it for a minute. */
  heard(user: string, revokedAt: number): void;
  /** It was taken back. */
  forget(user: string): void;
  /** Whether a revocation came while the credentials were being checked. Asked right before their connection is let in. */
  overtook(identity: Identity): boolean;
}

/** No check of credentials takes longer. */
const recentMs = 60_000;
/** Revocations of the last minute that are known by heart; beyond it the oldest are not. */
const maxRecent = 10_000;

/** `now` gives milliseconds since 1970. Nothing is cached here: a revocation on one node holds on all at once. */
export function createRevocations(backend: Pick<Backend, "set" | "get" | "take">, now: () => number): Revocations {
  async function revokedAt(user: string): Promise<number> {
    const kept = await backend.get(keyOf(user));
    return kept === undefined ? -Infinity : Number(kept);
  }
  const recent = new Map<string, { readonly revokedAt: number; readonly until: number }>();
  return {
    async revoke(user) {
      // The later of the two: a clock that was set back must not give old tokens their life back.
      const at = Math.max(now(), await revokedAt(user));
      await backend.set(keyOf(user), String(at), keepMs);
      return at;
    },
    async unrevoke(user) {
      await backend.take(keyOf(user));
      recent.delete(user);
    },
    unlessRevoked(identity) {
      const kept = backend.get(keyOf(identity.user));
      return isLater(kept) ? Promise.resolve(kept).then((at) => judge(identity, at)) : judge(identity, kept);
    },
    heard(user, revokedAt) {
      recent.delete(user);
      recent.set(user, { revokedAt, until: now() + recentMs });
      for (const [known, { until }] of recent) {
        if (until > now() && recent.size <= maxRecent) break;
        recent.delete(known);
      }
    },
    forget(user) {
      recent.delete(user);
    },
    overtook(identity) {
      if (recent.size === 0) return false;
      const known = recent.get(identity.user);
      return known !== undefined && known.until > now() && judge(identity, String(known.revokedAt)) === undefined;
    },
  };
}

function judge(identity: Identity, revokedAt: string | undefined): Identity | undefined {
  if (revokedAt === undefined) return identity;
  const { issuedAt } = identity;
  return issuedAt === undefined || issuedAt <= Number(revokedAt) ? undefined : identity;
}

function keyOf(user: string): string {
  return `revoked:${user}`;
}
