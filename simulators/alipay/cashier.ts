import type { BookedCharge, Simulator } from '../protocol.ts';
import { fen, fromChinaTime, yuan } from './trades.ts';

const products: Record<string, string> = {
  'alipay.trade.page.pay': 'FAST_INSTANT_TRADE_PAY',
  'alipay.trade.wap.pay': 'QUICK_WAP_WAY',
  'alipay.trade.app.pay': 'QUICK_MSECURITY_PAY',
};

/** Creates or finds the requested trade; otherwise the reason why it cannot be paid. */
export function askedAtCashier(
  parameters: Map<string, string>,
  content: Record<string, unknown>,
  { book, now }: Simulator,
): BookedCharge | string {
  const { out_trade_no: reference, subject, product_code } = content;
  const amount = fen(content['total_amount']);
  const expiresAt = fromChinaTime(content['time_expire']);
  const isWhole =
    typeof reference === 'string' &&
    /^\w{1,64}$/.test(reference) &&
    amount !== undefined &&
    typeof subject === 'string' &&
    /^[^/=&]{1,256}$/.test(subject) &&
    product_code === products[parameters.get('method') ?? ''] &&
    (content['time_expire'] === undefined || expiresAt !== undefined);
  if (!isWhole) return 'ACQ.INVALID_PARAMETER';
  const known = book.find(reference);
  if (!known && expiresAt !== undefined && now() >= expiresAt) {
    return 'ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR';
  }
  const { charge } = book.open({
    reference,
    amount,
    currency: 'CNY',
    expiresAt,
    notifyUrl: parameters.get('notify_url') ?? '',
    extra: { subject, returnUrl: parameters.get('return_url') ?? '' },
  });
  if (charge.amount !== amount) return 'ACQ.CONTEXT_INCONSISTENT';
  if (charge.state === 'captured') return 'ACQ.TRADE_HAS_SUCCESS';
  return charge.state === 'open' ? charge : 'ACQ.TRADE_HAS_CLOSE';
}

/** The page for people: its buttons call the control routes, then return to the shop. */
export function cashierPage({ reference, amount, extra }: BookedCharge): string {
  const back = extra['returnUrl'] ? JSON.stringify(extra['returnUrl']) : 'undefined';
  return page(
    'Alipay, simulated',
    `<p>${escaped(extra['subject'] ?? '')}</p>
<p><strong>¥${yuan(amount)}</strong></p>
<button data-act="pay">Pay</button>
<button data-act="decline">Decline</button>
<button data-act="">Cancel</button>
<p id="outcome"></p>
<script type="module">
const back = ${back.replaceAll('<', '\\u003c')};
for (const button of document.querySelectorAll('button')) {
  button.addEventListener('click', async () => {
    const { act } = button.dataset;
    let told = 'left open';
    if (act) {
      const answer = await fetch('/_control/charges/${reference}/' + act, { method: 'POST' });
      told = (await answer.json()).outcome;
    }
    document.getElementById('outcome').textContent = told;
    if (back && told !== 'refused') location.assign(back);
  });
}
</script>`,
  );
}

export function refusalPage(code: string): string {
  return page('Alipay, simulated', `<p>This cannot be paid: <code>${escaped(code)}</code></p>`);
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title><body><h1>${title}</h1>
${body}
</body></html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
