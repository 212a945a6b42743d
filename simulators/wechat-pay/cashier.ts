import type { BookedCharge } from '../protocol.ts';

/** A page with the buttons that a buyer has in WeChat. */
export function cashierPage(charge: BookedCharge | undefined, back: string | undefined): string {
  if (!charge) return page('<p>There is no such order.</p>');
  const amount = `${(charge.amount / 100).toFixed(2)} ${charge.currency}`;
  const buttons =
    charge.state === 'open'
      ? `<p><button data-act="pay">Pay</button> <button data-act="decline">Decline</button>
         <button data-act="close">Cancel</button></p>`
      : '';
  const target = `/_control/charges/${encodeURIComponent(charge.reference)}/`;
  return page(`
    <h2>${escaped(charge.extra['title'] ?? '')}</h2>
    <p class="amount">${escaped(amount)}</p>
    <p>Order ${escaped(charge.reference)}: <b>${charge.state}</b></p>
    ${buttons}
    <script>
      const back = ${scripted(back ?? '')};
      for (const button of document.querySelectorAll('button')) {
        button.onclick = async () => {
          await fetch(${scripted(target)} + button.dataset.act, { method: 'POST' });
          if (back) location.href = back;
          else location.reload();
        };
      }
    </script>`);
}

function page(content: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>WeChat Pay, simulated</title>
  <style>
    body { font: 16px system-ui; max-width: 24rem; margin: 3rem auto; padding: 0 1rem; }
    h1 { color: #07c160; font-size: 1.2rem; }
    .amount { font-size: 2rem; }
    button { font: inherit; padding: .5rem 1rem; }
  </style>
  <h1>WeChat Pay, simulated</h1>${content}</html>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Escapes a string for a script inside HTML. */
function scripted(text: string): string {
  return JSON.stringify(text).replaceAll('<', '\\u003c');
}
