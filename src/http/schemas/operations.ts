/**
 * The name of each operation in the OpenAPI document. Clients are generated from it, so a name stays
 * as long as its route. A route that is not here is named by its method and path.
 */
const operationIds: Record<string, string> = {
  'POST /v1/drops': 'createDrop',
  'GET /v1/drops': 'listDrops',
  'GET /v1/drops/{drop}': 'getCard',
  'PATCH /v1/drops/{drop}': 'editDrop',
  'DELETE /v1/drops/{drop}': 'deleteDrop',
  'POST /v1/drops/{drop}/duplicate': 'duplicateDrop',
  'POST /v1/drops/{drop}/publish': 'publishDrop',
  'POST /v1/drops/{drop}/pause': 'pauseDrop',
  'POST /v1/drops/{drop}/resume': 'resumeDrop',
  'POST /v1/drops/{drop}/end': 'endDrop',
  'POST /v1/drops/{drop}/cancel': 'cancelDrop',
  'GET /v1/drops/{drop}/report': 'getReport',
  'GET /v1/drops/{drop}/audit': 'auditDrop',
  'GET /v1/drops/{drop}/stream': 'followDrop',
  'GET /v1/drops/{drop}/orders': 'listOrders',
  'POST /v1/drops/{drop}/orders': 'buy',
  'POST /v1/drops/{drop}/items/{sku}/adjustments': 'adjustStock',
  'GET /v1/drops/{drop}/appointment': 'getAppointment',
  'POST /v1/drops/{drop}/appointment': 'makeAppointment',
  'GET /v1/drops/{drop}/appointments': 'listAppointments',
  'DELETE /v1/drops/{drop}/appointments': 'removeAppointments',
  'DELETE /v1/drops/{drop}/appointments/{buyer}': 'removeAppointment',
  'POST /v1/drops/{drop}/appointments/import': 'importAppointments',
  'GET /v1/orders': 'listOwnOrders',
  'GET /v1/drops/{drop}/orders/{order}': 'getSoldOrder',
  'GET /v1/stores/{merchant}/drops': 'listStoreDrops',
  'GET /v1/orders/{order}': 'getOrder',
  'GET /v1/orders/{order}/stream': 'followOrder',
  'POST /v1/orders/{order}/cancel': 'cancelOrder',
  'GET /v1/orders/{order}/payment': 'getPayment',
  'POST /v1/orders/{order}/payment': 'startPayment',
  'POST /v1/orders/{order}/refund': 'refundOrder',
  'GET /v1/wallet': 'getWallet',
  'GET /v1/wallet/statement': 'getStatement',
  'PUT /v1/wallet/password': 'setPaymentPassword',
  'POST /v1/wallet/topups': 'startTopUp',
  'GET /v1/wallet/topups/{topup}': 'getTopUp',
  'POST /v1/payments/{provider}/notifications': 'notifyPayment',
  'POST /v1/reconciliations': 'reconcile',
  'POST /v1/merchants': 'createMerchant',
  'POST /v1/keys': 'issueKey',
  'POST /v1/keys/revoke': 'revokeKey',
  'POST /demo/tokens': 'mintToken',
  'POST /demo/crowds': 'mintCrowd',
  'POST /demo/statements': 'listMovements',
};

/** What operations answer, by the name of a type; an answer that is not here is named by its operation. */
export const schemaNames: Record<string, string> = {
  createDrop: 'Drop',
  editDrop: 'Drop',
  duplicateDrop: 'Drop',
  publishDrop: 'Drop',
  pauseDrop: 'Drop',
  resumeDrop: 'Drop',
  endDrop: 'Drop',
  cancelDrop: 'Drop',
  listDrops: 'DropPage',
  getCard: 'Card',
  getReport: 'Report',
  auditDrop: 'Audit',
  listOrders: 'SoldOrderPage',
  buy: 'AcceptedBuy',
  adjustStock: 'AdjustedItem',
  getAppointment: 'Appointment',
  makeAppointment: 'Appointment',
  listAppointments: 'AppointmentPage',
  removeAppointments: 'RemovedAppointments',
  removeAppointment: 'RemovedAppointments',
  importAppointments: 'ImportResult',
  listOwnOrders: 'OrderPage',
  getSoldOrder: 'SoldOrder',
  listStoreDrops: 'StoreDrops',
  getOrder: 'Order',
  cancelOrder: 'Order',
  getPayment: 'Payment',
  startPayment: 'Payment',
  getWallet: 'Wallet',
  getStatement: 'Statement',
  getTopUp: 'TopUp',
  reconcile: 'ReconciliationReport',
  mintToken: 'MintedToken',
  mintCrowd: 'MintedCrowd',
  listMovements: 'Movements',
};

/** `path` as in the document, with its parameters in braces. */
export function operationIdOf(method: string, path: string): string {
  const route = `${method.toUpperCase()} ${path}`;
  return operationIds[route] ?? [method, ...path.split(/[^A-Za-z0-9]+/)].map(capitalised).join('');
}

function capitalised(word: string, index: number): string {
  return index === 0 ? word : `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
}
