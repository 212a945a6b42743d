/**
 * A request body for each operation that takes one. Each works as it stands: a test sends it to a running
 * engine. The times are far off, so that they do not pass.
 */
export const examples: Record<string, unknown> = {
  createDrop: {
    title: 'Phone, the noon sale',
    currency: 'CNY',
    startsAt: '2035-12-21T04:00:00Z',
    endsAt: '2035-12-21T06:00:00Z',
    items: [
      { sku: 'phone-16gb', title: 'Phone, 16 GB', unitAmount: 199_900, allotment: 50, perBuyer: 1 },
    ],
  },
  editDrop: { title: 'Phone, the evening sale', endsAt: '2035-12-21T08:00:00Z' },
  duplicateDrop: {
    title: 'Phone, the second wave',
    startsAt: '2035-12-22T04:00:00Z',
    endsAt: '2035-12-22T06:00:00Z',
  },
  adjustStock: { delta: 10, reason: 'ten more came' },
  buy: { sku: 'phone-16gb', quantity: 1, payment: { method: 'wallet' } },
  startPayment: { method: 'wallet', password: '258036' },
  refundOrder: { amount: 10_000, reason: 'scratched box' },
  setPaymentPassword: { password: '258036' },
  startTopUp: { amount: 200_000, currency: 'CNY' },
  reconcile: { sinceHours: 24 },
  createMerchant: { name: 'Corner shop' },
  issueKey: { merchant: 'mer_0123456789ab' },
  revokeKey: { apiKey: 'fdk_0123456789ab_the-rest-of-the-key' },
  mintToken: { sub: 'ada', currency: 'CNY' },
  mintCrowd: { prefix: 'fan-', count: 10, currency: 'CNY' },
  listMovements: { buyers: ['ada'] },
};
