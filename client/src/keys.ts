import { parsed } from './problem.ts';

type MaybePromise<T> = T | Promise<T>;

/** Where keys are kept. localStorage fits, and so does AsyncStorage of React Native. */
export type KeyStorage = {
  getItem(name: string): MaybePromise<string | null>;
  setItem(name: string, value: string): MaybePromise<void>;
};

/**
 * The key of one press on Buy and, once that is known, its order. `at` is when the key was made, or when the
 * order became known, ms since the epoch.
 */
export type Press = { key: string; at: number; order?: string };

type Locks = { request<T>(name: string, run: () => Promise<T>): Promise<T> };
type Page = { document?: unknown; localStorage?: KeyStorage; navigator?: { locks?: Locks } };

export type Keys = ReturnType<typeof openKeys>;

/**
 * The Idempotency-Keys of Buys. A key is stored before it is sent, so that a Buy whose answer was lost
 * is the same Buy after a reload.
 */
export function openKeys(given: KeyStorage | undefined) {
  const storage = given ?? pageStorage();
  /** What the storage could not take, full or forbidden: without a reload it is kept all the same. */
  const unstored = new Map<string, Press>();
  const exclusive = openExclusive();

  /** What could not be read must not be written over: it may be the key of a Buy that is under way. */
  const unreadable = new Set<string>();

  async function read(name: string): Promise<Press | undefined> {
    const own = unstored.get(name);
    if (own) return own;
    try {
      const press = await storedPress(storage, name);
      unreadable.delete(name);
      return press;
    } catch {
      unreadable.add(name);
      return undefined;
    }
  }

  async function write(name: string, press: Press): Promise<Press> {
    try {
      if (!storage || unreadable.has(name)) throw new Error('there is no storage');
      await storage.setItem(name, JSON.stringify(press));
      unstored.delete(name);
    } catch {
      unstored.set(name, press);
    }
    return press;
  }

  const fresh = (name: string) => write(name, { key: newKey(), at: Date.now() });

  return {
    /**
     * The press that is stored under a name, or a new one (`isNew`). Calls at the same time, in other tabs
     * too, get the same.
     */
    take: (name: string): Promise<Press & { isNew: boolean }> =>
      exclusive(async () => {
        const known = await read(name);
        return { ...(known ?? (await fresh(name))), isNew: known === undefined };
      }),
    /** A new press in place of `old`, or the one that another call has put there. */
    renew: (name: string, old: Press): Promise<Press> =>
      exclusive(async () => {
        const now = await read(name);
        return now && now.key !== old.key ? now : await fresh(name);
      }),
    /** Notes the order that a press has made, unless a newer press has taken its place. */
    save: (name: string, { key }: Press, order: string): Promise<void> =>
      exclusive(async () => {
        const now = await read(name);
        if (!now || now.key === key) await write(name, { key, at: Date.now(), order });
      }),
  };
}

/** @throws what the storage throws twice in a row */
async function storedPress(
  storage: KeyStorage | undefined,
  name: string,
): Promise<Press | undefined> {
  if (!storage) return undefined;
  let text: string | null;
  try {
    text = await storage.getItem(name);
  } catch {
    text = await storage.getItem(name);
  }
  const press = parsed<Partial<Press>>(text ?? '');
  return typeof press?.key === 'string'
    ? { ...press, key: press.key, at: press.at ?? 0 }
    : undefined;
}

/** Undefined outside of pages, and where the browser forbids it: then the getter throws. */
function pageStorage(): KeyStorage | undefined {
  try {
    const page: Page = globalThis as Page;
    return page.document ? page.localStorage : undefined;
  } catch {
    return undefined;
  }
}

/** Runs one at a time: among the tabs of a site where there are locks, else in this client. */
function openExclusive() {
  const { locks } = (globalThis as Page).navigator ?? {};
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const next = last.then(run);
    last = next.catch(() => {});
    return next;
  };
  // A sandboxed frame has locks and may not use them.
  return <T>(run: () => Promise<T>): Promise<T> =>
    locks ? locks.request('flashdrop', run).catch(() => inTurn(run)) : inTurn(run);
}

/** A UUID where there is one: not on http pages and not in React Native. A key is no secret, only unique. */
function newKey(): string {
  const random = () => Math.random().toString(36).slice(2);
  return globalThis.crypto?.randomUUID?.() ?? `${Date.now().toString(36)}-${random()}${random()}`;
}

/**
 * The name of an intent: the same for the same purchase of the same buyer. What the buyer has
 * typed (a phone, an address) is in it as a number alone.
 */
export function intentName(parts: {
  address: string;
  token: string | undefined;
  drop: string;
  body: string;
}): string {
  const { address, token, drop, body } = parts;
  let hash = 0x811c9dc5;
  for (const letter of `${address} ${subjectOf(token)} ${body}`) {
    hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  }
  return `flashdrop:${drop}:${(hash >>> 0).toString(36)}`;
}

/** Who a token is for, so that two people at one device have keys of their own. */
function subjectOf(token = ''): string {
  try {
    const part = token.split('.')[1] ?? '';
    return String(JSON.parse(atob(part.replace(/-/g, '+').replace(/_/g, '/'))).sub);
  } catch {
    return '';
  }
}
