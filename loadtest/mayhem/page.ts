import type { Answer } from './wire.ts';

/** The payment page of a provider. */
export type Page = {
  act(what: 'pay' | 'decline'): Promise<string>;
};

/**
 * Opens the page to which the engine sends a buyer, as their browser or phone does; undefined when
 * it shows nothing to pay any more.
 */
export async function openPage({ json }: Answer): Promise<Page | undefined> {
  const action = json['action'] as { kind: string; url?: string; text?: string } | undefined;
  const address = action?.url ?? action?.text;
  if (!address) return undefined;
  const response = await fetch(address, { headers: { accept: 'text/html' } });
  const reference = /fd[0-9a-f]{30}/.exec(await response.text())?.[0];
  if (!reference) return undefined;
  const charge = new URL(`/_control/charges/${reference}`, address);
  return {
    async act(what) {
      const answer = await fetch(`${charge}/${what}`, { method: 'POST' });
      const { outcome } = (await answer.json()) as { outcome?: string };
      return outcome ?? 'none';
    },
  };
}
