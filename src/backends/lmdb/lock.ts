import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Who holds a directory. Pid and start together name one process, though pids are used again. */
interface Holder {
  readonly pid: number;
  /** In ticks since the machine's start; undefined where /proc is missing. */
  readonly startedAt: string | undefined;
  readonly boot: string | undefined;
}

export interface DirectoryLock {
  /** Whether an earlier holder ended without releasing it. */
  readonly wasLeftBehind: boolean;
  release(): void;
}

/**
 * Takes a directory for this process. Throws where a living process has it. What a killed process left behind is taken
 * over. Processes in other containers cannot be seen: a directory belongs to one of them.
 */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, "fanfare.lock");
  const own = JSON.stringify(holderOf(process.pid));
  // Written aside and linked: the lock appears with its content or not at all.
  const aside = join(directory, `fanfare.lock.${process.pid}`);
  writeFileSync(aside, own);
  try {
    const wasLeftBehind = takeOver(path, directory);
    linkSync(aside, path);
    return { wasLeftBehind, release: () => release(path, own) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") throw inUse(directory, path, "another process");
    throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

/** Removes a lock whose holder is dead; tells whether there was one. */
function takeOver(path: string, directory: string): boolean {
  const found = readLock(path);
  if (found === undefined) return false;
  const holder = parseHolder(found);
  if (holder !== undefined && isAlive(holder)) {
    throw inUse(directory, path, holder.pid === process.pid ? "this process" : `process ${holder.pid}`);
  }
  // Moved and looked at again: of two that find the same dead holder, one may have locked anew in between.
  const moved = `${path}.${process.pid}.old`;
  renameSync(path, moved);
  if (readLock(moved) !== found) {
    renameSync(moved, path);
    throw inUse(directory, path, "another process");
  }
  unlinkSync(moved);
  return true;
}

function release(path: string, own: string): void {
  if (readLock(path) === own) rmSync(path, { force: true });
}

function readLock(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const holder = JSON.parse(text) as Partial<Holder>;
    return typeof holder.pid === "number"
      ? { startedAt: undefined, boot: undefined, ...holder, pid: holder.pid }
      : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder): boolean {
  const now = holderOf(holder.pid);
  if (now.boot !== holder.boot || now.startedAt !== holder.startedAt) return false;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function holderOf(pid: number): Holder {
  return { pid, startedAt: startOf(pid), boot: readProc("/proc/sys/kernel/random/boot_id")?.trim() };
}

/** The 22nd field of /proc/PID/stat; the second may hold spaces, so fields count from its closing parenthesis. */
function startOf(pid: number): string | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function inUse(directory: string, path: string, holder: string): Error {
  return new Error(
    `the log in ${directory} is in use by ${holder}: stop it, or give this one a directory of its own ` +
      `(if you are sure that nothing uses it, remove ${path})`,
  );
}
