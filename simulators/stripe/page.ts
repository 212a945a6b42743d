import type { SessionRecord } from './account.ts';

/** A minimal payment page, for trying the engine by hand. */
export function checkoutPage(record: SessionRecord, status: string): string {
  const title = escaped(record.title || 'Nothing to pay');
  const amount = `${record.amount} minor units of ${escaped((record.currency ?? '').toUpperCase())}`;
  const back = record.cancelUrl ?? record.successUrl;
  const acts = `
<p class="acts">
  <button data-act="pay" data-to="${escaped(record.successUrl)}">Pay</button>
  <button data-act="decline">Let the payment fail</button>
  <button data-act="close">Let the session expire</button>
  <a href="${escaped(back)}">Back to the shop</a>
</p>
<p id="told" role="status"></p>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Simulated Stripe Checkout</title>
<style>
  body { font: 1rem/1.5 system-ui; max-width: 30rem; margin: 10vh auto; padding: 0 1rem; }
  .acts > * { margin: 0 .5rem .5rem 0; padding: .5rem 1rem; font: inherit; }
</style>
<h1>${title}</h1>
<p>${amount}. This is a simulator: no money moves.</p>
${status === 'open' ? acts : `<p>This session is ${status}. <a href="${escaped(back)}">Back to the shop</a></p>`}
<script>
  const charge = ${JSON.stringify(encodeURIComponent(record.reference ?? ''))};
  for (const button of document.querySelectorAll('button')) {
    button.onclick = async () => {
      const url = '/_control/charges/' + charge + '/' + button.dataset.act;
      const { outcome, error } = await (await fetch(url, { method: 'POST' })).json();
      document.querySelector('#told').textContent = outcome ?? error;
      if (outcome === 'captured' && button.dataset.to) location = button.dataset.to;
    };
  }
</script>
</html>`;
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}
